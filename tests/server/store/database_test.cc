#include "server/store/database.h"

#include <soci/soci.h>
#include <sqlite3.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Database>> OpenIn(
    const TempDirectory& directory,
    std::function<absl::Status()> before_commit = {}) {
  return Database::Open({directory.path(), std::move(before_commit)});
}

absl::Status Put(Database& database, const std::string& name,
                 const std::string& value) {
  return database.Transact([&](soci::session& sql) {
    sql << "INSERT INTO settings (name, value) VALUES (:n, :v)",
        soci::use(name), soci::use(value);
    return absl::OkStatus();
  });
}

// The value of a name; "none" if there is none.
std::string Get(Database& database, const std::string& name) {
  std::string value;
  absl::Status status = database.Read([&](soci::session& sql) {
    sql << "SELECT value FROM settings WHERE name = :n", soci::into(value),
        soci::use(name);
    if (!sql.got_data()) value = "none";
    return absl::OkStatus();
  });
  return status.ok() ? value : status.ToString();
}

// Runs a statement on a closed database file.
void RunOn(const std::string& path, const std::string& statement) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, statement.c_str(), nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(handle);
}

TEST(Database, KeepsWhatWasCommittedOverAReopening) {
  TempDirectory directory;
  {
    auto database = OpenIn(directory);
    ASSERT_OK(database);
    ASSERT_OK(Put(**database, "a", "1"));
  }

  auto database = OpenIn(directory);

  ASSERT_OK(database);
  EXPECT_EQ(Get(**database, "a"), "1");
}

TEST(Database, KeepsBytesAsTheyAre) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);

  ASSERT_OK(Put(*database, "all", bytes));

  EXPECT_EQ(Get(*database, "all"), bytes);
}

TEST(Database, RunsInTheSafeModes) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();
  std::string journal;
  int synchronous = 0;
  int foreign_keys = 0;
  int busy_timeout = 0;
  int application_id = 0;
  int version = 0;

  ASSERT_OK(database->Read([&](soci::session& sql) {
    sql << "PRAGMA journal_mode", soci::into(journal);
    sql << "PRAGMA synchronous", soci::into(synchronous);
    sql << "PRAGMA foreign_keys", soci::into(foreign_keys);
    sql << "PRAGMA busy_timeout", soci::into(busy_timeout);
    sql << "PRAGMA application_id", soci::into(application_id);
    sql << "PRAGMA user_version", soci::into(version);
    return absl::OkStatus();
  }));

  EXPECT_EQ(journal, "wal");
  EXPECT_EQ(synchronous, 2);  // FULL
  EXPECT_EQ(foreign_keys, 1);
  EXPECT_EQ(busy_timeout, 5000);
  EXPECT_EQ(application_id, 0x4154554E);
  EXPECT_EQ(version, 1);
}

TEST(Database, WorksInADirectoryWithASpace) {
  TempDirectory directory;

  auto database = Database::Open({directory / "two words", {}});

  ASSERT_OK(database);
  EXPECT_TRUE(std::filesystem::exists(directory / "two words/attune.db"));
}

TEST(Database, AnErrorOfTheBodyRollsBack) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();

  absl::Status status = database->Transact([&](soci::session& sql) {
    sql << "INSERT INTO settings (name, value) VALUES ('a', '1')";
    return MakeError(Reason::kQueueFull, "full");
  });

  EXPECT_THAT(status, ReasonIs(Reason::kQueueFull, "full"));
  EXPECT_EQ(Get(*database, "a"), "none");
  EXPECT_OK(Put(*database, "a", "2"));
}

TEST(Database, AnExceptionOfTheBodyRollsBack) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();

  absl::Status status =
      database->Transact([&](soci::session& sql) -> absl::Status {
        sql << "INSERT INTO settings (name, value) VALUES ('a', '1')";
        throw std::runtime_error("broken");
      });

  EXPECT_THAT(status, ReasonIs(Reason::kStorageFailure, HasSubstr("broken")));
  EXPECT_EQ(Get(*database, "a"), "none");
}

TEST(Database, AnErrorBeforeTheCommitRollsBack) {
  TempDirectory directory;
  bool fail = false;
  auto database = OpenIn(directory, [&] {
                    return fail ? MakeError(Reason::kStorageFull, "full")
                                : absl::OkStatus();
                  }).value();
  fail = true;

  EXPECT_THAT(Put(*database, "a", "1"), ReasonIs(Reason::kStorageFull, "full"));

  fail = false;
  EXPECT_EQ(Get(*database, "a"), "none");
}

TEST(Database, WrongSqlIsAStorageFailure) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();

  absl::Status status = database->Transact([](soci::session& sql) {
    sql << "INSERT INTO no_such_table VALUES (1)";
    return absl::OkStatus();
  });

  EXPECT_THAT(status,
              ReasonIs(Reason::kStorageFailure, HasSubstr("no_such_table")));
}

TEST(Database, AFullDatabaseIsStorageFullAndRecovers) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();
  ASSERT_OK(database->Read([](soci::session& sql) {
    int pages = 0;
    sql << "PRAGMA page_count", soci::into(pages);
    sql << "PRAGMA max_page_count = " << pages + 2, soci::into(pages);
    return absl::OkStatus();
  }));

  EXPECT_THAT(Put(*database, "big", std::string(1 << 20, 'x')),
              ReasonIs(Reason::kStorageFull, HasSubstr("free some space")));
  EXPECT_EQ(Get(*database, "big"), "none");

  ASSERT_OK(database->Read([](soci::session& sql) {
    int pages = 0;
    sql << "PRAGMA max_page_count = 100000", soci::into(pages);
    return absl::OkStatus();
  }));
  EXPECT_OK(Put(*database, "big", std::string(1 << 20, 'x')));
}

TEST(Database, ASecondOneInTheSameDirectoryIsRefused) {
  TempDirectory directory;
  auto first = OpenIn(directory);
  ASSERT_OK(first);

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kResourceInUse,
                       AllOf(HasSubstr("locked"), HasSubstr("another"))));

  first->reset();
  EXPECT_OK(OpenIn(directory));
}

TEST(Database, ANewerSchemaIsRefusedAndNotTouched) {
  TempDirectory directory;
  OpenIn(directory).value().reset();
  RunOn(directory / "attune.db", "PRAGMA user_version = 99");
  std::string before = ReadBytes(directory / "attune.db");

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kIllegalState, HasSubstr("schema version 99")));
  EXPECT_EQ(ReadBytes(directory / "attune.db"), before);
}

TEST(Database, ANewerSchemaThatIsInTheLogOnlyIsNotTouchedEither) {
  TempDirectory directory;
  TempDirectory copy;
  auto database = OpenIn(directory).value();
  ASSERT_OK(database->Transact([](soci::session& sql) {
    sql << "PRAGMA user_version = 99";
    return absl::OkStatus();
  }));
  // As kill -9 leaves it: nothing has moved from the log to the database.
  const char* const names[] = {"attune.db", "attune.db-wal"};
  for (const char* name : names) {
    WriteBytes(copy / name, ReadBytes(directory / name));
  }

  EXPECT_THAT(OpenIn(copy),
              ReasonIs(Reason::kIllegalState, HasSubstr("schema version 99")));

  for (const char* name : names) {
    ASSERT_TRUE(std::filesystem::exists(copy / name)) << name;
    EXPECT_EQ(ReadBytes(copy / name), ReadBytes(directory / name)) << name;
  }
}

TEST(Database, ASchemaVersionThatNobodyWroteIsRefused) {
  TempDirectory directory;
  OpenIn(directory).value().reset();
  RunOn(directory / "attune.db", "PRAGMA user_version = -1");

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kIllegalState, HasSubstr("schema version -1")));
}

TEST(Database, AnotherProgramsDatabaseIsRefusedAndNotTouched) {
  TempDirectory directory;
  RunOn(directory / "attune.db", "CREATE TABLE theirs (x)");
  std::string before = ReadBytes(directory / "attune.db");

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kIllegalState, HasSubstr("another program")));
  EXPECT_EQ(ReadBytes(directory / "attune.db"), before);
}

TEST(Database, AFileThatIsNoDatabaseIsNamed) {
  TempDirectory directory;
  WriteBytes(directory / "attune.db", std::string(8192, 'x'));

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kStorageFailure, HasSubstr("not a database")));
}

TEST(Database, ADamagedFileIsFoundAtTheStart) {
  TempDirectory directory;
  {
    auto database = OpenIn(directory).value();
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(Put(*database, Concat("k", i), std::string(2000, 'v')));
    }
  }
  std::string bytes = ReadBytes(directory / "attune.db");
  for (size_t i = 4096; i < bytes.size(); ++i) bytes[i] = 'z';
  WriteBytes(directory / "attune.db", bytes);

  EXPECT_THAT(OpenIn(directory),
              ReasonIs(Reason::kStorageFailure, HasSubstr("")));
}

TEST(Database, FilesCopiedAtAnyMomentHoldWholeTransactions) {
  TempDirectory directory;
  TempDirectory copy;
  int commits = 0;
  auto database = OpenIn(directory, [&] {
                    // As if the machine stopped right before the commit.
                    if (++commits == 6) {
                      for (const char* name : {"attune.db", "attune.db-wal"}) {
                        WriteBytes(copy / name, ReadBytes(directory / name));
                      }
                    }
                    return absl::OkStatus();
                  }).value();
  for (int i = 1; i <= 8; ++i) {
    ASSERT_OK(database->Transact([&](soci::session& sql) {
      std::string first = Concat("first", i);
      std::string second = Concat("second", i);
      sql << "INSERT INTO settings (name, value) VALUES (:a, '1')",
          soci::use(first);
      sql << "INSERT INTO settings (name, value) VALUES (:b, '2')",
          soci::use(second);
      return absl::OkStatus();
    }));
  }

  auto recovered = OpenIn(copy).value();

  // The first commit was the page token key's.
  for (int i = 1; i <= 8; ++i) {
    EXPECT_EQ(Get(*recovered, Concat("first", i)), i <= 4 ? "1" : "none");
    EXPECT_EQ(Get(*recovered, Concat("second", i)), i <= 4 ? "2" : "none");
  }
}

TEST(Database, ForeignKeysHold) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();

  absl::Status status = database->Transact([](soci::session& sql) {
    sql << "INSERT INTO aliases (prompt, alias, version) VALUES (1, 'a', 1)";
    return absl::OkStatus();
  });

  EXPECT_THAT(status,
              ReasonIs(Reason::kStorageFailure, HasSubstr("FOREIGN KEY")));
}

TEST(Database, PageTokensOutliveARestart) {
  TempDirectory directory;
  TempDirectory other;
  auto database = OpenIn(directory).value();
  std::string token = database->page_tokens().Make("jobs", "", "7");
  database.reset();

  database = OpenIn(directory).value();

  EXPECT_EQ(database->page_tokens().Read("jobs", "", token).value(), "7");
  EXPECT_THAT(OpenIn(other).value()->page_tokens().Read("jobs", "", token),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
}

TEST(Database, CallsOfManyThreadsTakeTurns) {
  TempDirectory directory;
  auto database = OpenIn(directory).value();
  ASSERT_OK(Put(*database, "count", "0"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        absl::Status status = database->Transact([](soci::session& sql) {
          std::string value;
          sql << "SELECT value FROM settings WHERE name = 'count'",
              soci::into(value);
          value = std::to_string(std::stoi(value) + 1);
          sql << "UPDATE settings SET value = :v WHERE name = 'count'",
              soci::use(value);
          return absl::OkStatus();
        });
        EXPECT_OK(status);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(Get(*database, "count"), "100");
}

}  // namespace
}  // namespace attune::server
