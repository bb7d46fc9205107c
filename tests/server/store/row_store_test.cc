#include "server/store/row_store.h"

#include <soci/soci.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/digest.h"
#include "server/store/database.h"
#include "server/store/dataset_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string DigestOf(const std::vector<std::string>& rows) {
  RowDigest digest;
  for (const std::string& row : rows) digest.Add(row);
  return digest.hex();
}

class RowStoreTest : public testing::Test {
 protected:
  RowStoreTest() {
    Transact([&](soci::session& sql) {
      DatasetRecord record;
      record.id = "d";
      record.dataset.set_uid("u");
      DatasetStore(sql).Insert(record);
      dataset_ = record.number;
    });
  }

  void Transact(absl::FunctionRef<void(soci::session&)> body) {
    ASSERT_OK(database_->Transact([&](soci::session& sql) {
      body(sql);
      return absl::OkStatus();
    }));
  }

  // Appends rows to the dataset as a segment of their own.
  void Append(const std::vector<std::string>& rows) {
    Transact([&](soci::session& sql) {
      RowStore store(sql);
      int64_t segment = store.NewSegment();
      store.AddRows(segment, rows);
      store.Publish(segment, dataset_, static_cast<int64_t>(all_.size()));
    });
    all_.insert(all_.end(), rows.begin(), rows.end());
  }

  SnapshotKey Snapshot() {
    return {dataset_, 0, static_cast<int64_t>(all_.size()), DigestOf(all_)};
  }

  absl::StatusOr<std::vector<std::string>> ReadAll(SnapshotKey key) {
    SnapshotReader reader(*database_, std::move(key));
    std::vector<std::string> rows;
    while (true) {
      auto next = reader.Next();
      if (!next.ok()) return next.status();
      if (next->empty()) return rows;
      rows.insert(rows.end(), next->begin(), next->end());
    }
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
  int64_t dataset_ = 0;
  std::vector<std::string> all_;
};

TEST(RowDigest, IsAChainThatAnyoneCanCompute) {
  const std::string empty =
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  EXPECT_EQ(DigestOf({}), empty);
  const std::string one = Sha256Hex(empty + "{\"a\":1}\n");
  EXPECT_EQ(DigestOf({"{\"a\":1}"}), one);
  EXPECT_EQ(DigestOf({"{\"a\":1}", "{}"}), Sha256Hex(one + "{}\n"));
}

TEST(RowDigest, GoesOnFromEarlierRows) {
  RowDigest later(DigestOf({"a", "b"}));
  later.Add("c");

  EXPECT_EQ(later.hex(), DigestOf({"a", "b", "c"}));
}

TEST(RowDigest, DependsOnOrderAndOnBorders) {
  EXPECT_NE(DigestOf({"a", "b"}), DigestOf({"b", "a"}));
  EXPECT_NE(DigestOf({"a", "b"}), DigestOf({"ab"}));
}

TEST_F(RowStoreTest, ASnapshotReadsAllSegmentsInOrder) {
  Append({"1", "2"});
  Append({"3"});
  Append({"4", "5", "6"});

  EXPECT_THAT(ReadAll(Snapshot()).value(),
              ElementsAre("1", "2", "3", "4", "5", "6"));
}

TEST_F(RowStoreTest, LaterAppendsDoNotChangeASnapshot) {
  Append({"1", "2"});
  SnapshotKey snapshot = Snapshot();
  Append({"3"});

  EXPECT_THAT(ReadAll(snapshot).value(), ElementsAre("1", "2"));
}

TEST_F(RowStoreTest, BigRowsComeInSeveralBlocks) {
  std::vector<std::string> rows;
  for (int i = 0; i < 10; ++i) rows.push_back(std::string(100 << 10, 'a' + i));
  Append(rows);
  SnapshotReader reader(*database_, Snapshot());

  EXPECT_EQ(reader.Next().value().size(), 2u);  // 256 KiB hold two

  EXPECT_EQ(ReadAll(Snapshot()).value(), rows);
}

TEST_F(RowStoreTest, ASegmentGrowsOverTransactions) {
  int64_t segment = 0;
  Transact([&](soci::session& sql) {
    segment = RowStore(sql).NewSegment();
    RowStore(sql).AddRows(segment, {"1", "2"});
  });
  Transact([&](soci::session& sql) {
    RowStore(sql).AddRows(segment, {"3"});
    EXPECT_EQ(RowStore(sql).DigestAfter(segment, DigestOf({"0"})),
              DigestOf({"0", "1", "2", "3"}));
  });

  EXPECT_THAT(ReadAll({0, segment, 3, DigestOf({"1", "2", "3"})}).value(),
              ElementsAre("1", "2", "3"));
}

TEST_F(RowStoreTest, ChangedRowsAreDataLoss) {
  Append({"1", "2"});
  Transact([](soci::session& sql) {
    std::string lines = "1\nX\n";
    sql << "UPDATE blocks SET lines = :l", soci::use(lines);
  });

  EXPECT_THAT(ReadAll(Snapshot()),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr(Snapshot().digest)));
}

TEST_F(RowStoreTest, ALostRowIsFound) {
  Append({"1", "2"});
  Transact([](soci::session& sql) {
    std::string lines = "1\n";
    sql << "UPDATE blocks SET lines = :l", soci::use(lines);
  });

  EXPECT_THAT(ReadAll(Snapshot()),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("deleted")));
}

TEST_F(RowStoreTest, RowsThatWereDeletedMeanwhileAreNotFound) {
  Append({"1", "2"});
  Append({"3"});
  SnapshotReader reader(*database_, Snapshot());
  EXPECT_THAT(reader.Next().value(), ElementsAre("1", "2"));

  Transact([&](soci::session& sql) { DatasetStore(sql).Delete(dataset_); });

  EXPECT_THAT(reader.Next(),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("deleted")));
}

TEST_F(RowStoreTest, OrphansAreOnlySegmentsOfNothing) {
  Append({"1"});
  Transact([](soci::session& sql) {
    int64_t orphan = RowStore(sql).NewSegment();
    RowStore(sql).AddRows(orphan, {"x"});
  });

  Transact([](soci::session& sql) {
    EXPECT_EQ(RowStore(sql).DeleteOrphans(), 1);
    EXPECT_EQ(RowStore(sql).DeleteOrphans(), 0);
    int blocks = 0;
    sql << "SELECT COUNT(*) FROM blocks", soci::into(blocks);
    EXPECT_EQ(blocks, 1);
  });
  EXPECT_THAT(ReadAll(Snapshot()).value(), ElementsAre("1"));
}

}  // namespace
}  // namespace attune::server
