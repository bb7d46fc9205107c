#include "server/store/database.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "absl/strings/escaping.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/store/file_operations.h"
#include "server/store/migrations.h"

namespace attune::server {
namespace {

constexpr int kApplicationId = 0x4154554E;  // "ATUN"

absl::Status StorageError(std::string_view what, bool full) {
  return MakeError(full ? Reason::kStorageFull : Reason::kStorageFailure,
                   Concat("database: ", what,
                          full ? "; free some space and try again" : ""));
}

// Runs `body` and turns what SOCI and the standard library throw into a status:
// the one place where database exceptions end.
absl::Status Guarded(absl::FunctionRef<absl::Status()> body) {
  try {
    return body();
  } catch (const soci::sqlite3_soci_error& error) {
    return StorageError(error.what(), (error.result() & 0xFF) == SQLITE_FULL);
  } catch (const std::exception& error) {
    return StorageError(error.what(), /*full=*/false);
  }
}

sqlite_api::sqlite3* HandleOf(soci::session& sql) {
  return static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_;
}

// Runs several statements at once, which SOCI does not.
absl::Status Execute(soci::session& sql, std::string_view statements) {
  char* message = nullptr;
  int result =
      sqlite_api::sqlite3_exec(HandleOf(sql), std::string(statements).c_str(),
                               nullptr, nullptr, &message);
  if (result == SQLITE_OK) return absl::OkStatus();
  std::string text = message != nullptr ? message : "unknown error";
  sqlite_api::sqlite3_free(message);
  return StorageError(text, (result & 0xFF) == SQLITE_FULL);
}

// Whether the last connection writes the log into the database as it closes.
void SetCheckpointOnClose(soci::session& sql, bool on) {
  sqlite_api::sqlite3_db_config(HandleOf(sql), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                                on ? 0 : 1, nullptr);
}

int ReadPragma(soci::session& sql, const char* name) {
  int value = 0;
  sql << "PRAGMA " << name, soci::into(value);
  return value;
}

// Refuses what is not ours or is newer, before anything is written.
absl::Status CheckOwner(soci::session& sql, std::string_view path) {
  int application_id = ReadPragma(sql, "application_id");
  int version = ReadPragma(sql, "user_version");
  int num_tables = 0;
  sql << "SELECT COUNT(*) FROM sqlite_master", soci::into(num_tables);
  if (application_id != kApplicationId && (num_tables > 0 || version > 0)) {
    return MakeError(Reason::kIllegalState,
                     Concat("'", path,
                            "' is a database of another program; choose "
                            "another state directory"));
  }
  int newest = static_cast<int>(Migrations().size());
  if (version < 0 || version > newest) {
    return MakeError(Reason::kIllegalState,
                     Concat("'", path, "' has schema version ", version,
                            " and this release knows up to ", newest,
                            "; nothing was changed; use the newer release"));
  }
  return absl::OkStatus();
}

absl::Status CheckIntact(soci::session& sql, std::string_view path) {
  std::string result;
  sql << "PRAGMA quick_check(1)", soci::into(result);
  if (result == "ok") return absl::OkStatus();
  return MakeError(Reason::kStorageFailure,
                   Concat("'", path, "' is damaged (", result,
                          "); restore it from a backup"));
}

// SQLite stays in another mode without an error where it cannot have a WAL.
absl::Status UseLog(soci::session& sql, std::string_view path) {
  std::string mode;
  sql << "PRAGMA journal_mode = WAL", soci::into(mode);
  if (mode == "wal") return absl::OkStatus();
  return MakeError(Reason::kStorageFailure,
                   Concat("'", path, "' cannot have a write-ahead log (", mode,
                          "); choose a state directory on a local disk"));
}

absl::Status Migrate(soci::session& sql) {
  int newest = static_cast<int>(Migrations().size());
  for (int version = ReadPragma(sql, "user_version"); version < newest;
       ++version) {
    ATTUNE_RETURN_IF_ERROR(Execute(
        sql, Concat("BEGIN IMMEDIATE;", Migrations()[version],
                    "PRAGMA application_id = ", kApplicationId,
                    ";PRAGMA user_version = ", version + 1, ";COMMIT;")));
  }
  return absl::OkStatus();
}

}  // namespace

// Holds the directory's lock file until destroyed; the kernel lets go of it
// when the process dies.
class Database::FileLock {
 public:
  static absl::StatusOr<std::unique_ptr<FileLock>> Take(
      const std::string& path) {
    int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (descriptor < 0) return FileError("open lock file", path, errno);
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      int error_number = errno;
      close(descriptor);
      if (error_number != EWOULDBLOCK) {
        return FileError("lock", path, error_number);
      }
      return MakeError(Reason::kResourceInUse,
                       Concat("'", path,
                              "' is locked: another server uses this state "
                              "directory; stop it or choose another one"));
    }
    return std::unique_ptr<FileLock>(new FileLock(descriptor));
  }
  ~FileLock() { close(descriptor_); }

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

Database::Database(Options options, std::unique_ptr<FileLock> lock)
    : options_(std::move(options)), lock_(std::move(lock)) {}

Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  ATTUNE_RETURN_IF_ERROR(MakeDirectories(options.directory));
  ATTUNE_ASSIGN_OR_RETURN(auto lock,
                          FileLock::Take(options.directory + "/attune.lock"));
  std::unique_ptr<Database> database(
      new Database(std::move(options), std::move(lock)));
  {
    absl::MutexLock guard(&database->mutex_);
    ATTUNE_RETURN_IF_ERROR(
        Guarded([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
          return database->Connect();
        }));
  }
  ATTUNE_RETURN_IF_ERROR(database->LoadPageTokens());
  return database;
}

absl::Status Database::Connect() {
  const std::string path = options_.directory + "/attune.db";
  if (path.find('"') != std::string::npos) {
    return MakeError(Reason::kInvalidField,
                     Concat("the state directory '", options_.directory,
                            "' must not contain a double quote"));
  }
  session_ = std::make_unique<soci::session>(
      soci::sqlite3, Concat("db=\"", path, "\" timeout=5"));
  soci::session& sql = *session_;
  SetCheckpointOnClose(sql, false);  // what is refused is not touched
  ATTUNE_RETURN_IF_ERROR(CheckOwner(sql, path));
  ATTUNE_RETURN_IF_ERROR(CheckIntact(sql, path));
  SetCheckpointOnClose(sql, true);
  ATTUNE_RETURN_IF_ERROR(UseLog(sql, path));
  ATTUNE_RETURN_IF_ERROR(
      Execute(sql,
              "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
              "PRAGMA wal_autocheckpoint = 1000;"));
  return Migrate(sql);
}

absl::Status Database::LoadPageTokens() {
  std::string hex;
  ATTUNE_RETURN_IF_ERROR(Transact([&](soci::session& sql) {
    sql << "SELECT value FROM settings WHERE name = 'page_token_key'",
        soci::into(hex);
    if (sql.got_data()) return absl::OkStatus();
    unsigned char key[32];
    if (RAND_bytes(key, sizeof(key)) != 1) {
      return MakeError(Reason::kInternal, "no random bytes");
    }
    hex = absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(key), sizeof(key)));
    sql << "INSERT INTO settings (name, value) VALUES ('page_token_key', :v)",
        soci::use(hex);
    return absl::OkStatus();
  }));
  page_tokens_ = std::make_unique<PageTokens>(absl::HexStringToBytes(hex));
  return absl::OkStatus();
}

absl::Status Database::Transact(
    absl::FunctionRef<absl::Status(soci::session& sql)> body) {
  return Run(/*write=*/true, body);
}

absl::Status Database::Read(
    absl::FunctionRef<absl::Status(soci::session& sql)> body) {
  return Run(/*write=*/false, body);
}

absl::Status Database::Run(
    bool write, absl::FunctionRef<absl::Status(soci::session& sql)> body) {
  absl::MutexLock lock(&mutex_);
  soci::session& sql = *session_;
  ATTUNE_RETURN_IF_ERROR(
      Execute(sql, write ? "BEGIN IMMEDIATE" : "BEGIN DEFERRED"));
  absl::Status status = Guarded([&] { return body(sql); });
  if (status.ok() && write && options_.before_commit) {
    status = options_.before_commit();
  }
  if (status.ok()) status = Execute(sql, "COMMIT");
  if (!status.ok()) {
    // SQLite has rolled back by itself after some errors; asking again is then
    // an error of no interest.
    Execute(sql, "ROLLBACK").IgnoreError();
  }
  return status;
}

}  // namespace attune::server
