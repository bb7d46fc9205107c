#ifndef ATTUNE_SERVER_STORE_DATABASE_H_
#define ATTUNE_SERVER_STORE_DATABASE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/store/page.h"

namespace soci {
class session;
}

namespace attune::server {

// The server's durable state: one SQLite file in WAL mode with synchronous=FULL
// and exactly one connection, which writes, reads and checkpoints (with a
// second one, SQLite up to 3.51.2 can corrupt a WAL). A lock file keeps other
// processes away. Thread-safe: calls take turns.
class Database {
 public:
  struct Options {
    // Made if it does not exist. Holds attune.db and the lock file.
    std::string directory;
    // Called before each commit; an error rolls the transaction back. For
    // tests of faults.
    std::function<absl::Status()> before_commit;
  };

  // Opens or creates the database and brings its schema up to date.
  // FAILED_PRECONDITION: another process holds it (kResourceInUse), it belongs
  // to a newer release or to another program (kIllegalState; nothing is written
  // then). UNAVAILABLE (kStorageFailure): the disk failed, or SQLite finds the
  // database damaged. RESOURCE_EXHAUSTED (kStorageFull): the disk is full.
  static absl::StatusOr<std::unique_ptr<Database>> Open(Options options);
  ~Database();

  // Runs `body` in one transaction that may write (BEGIN IMMEDIATE). When
  // `body` returns OK the transaction is committed, and an OK from here is on
  // disk; else nothing of it remains and its error is returned. kStorageFull:
  // the disk is full; kStorageFailure: anything else that SQLite reports.
  // `body` may throw what SOCI throws and must not call the database again.
  absl::Status Transact(
      absl::FunctionRef<absl::Status(soci::session& sql)> body);

  // The same for a body that only reads.
  absl::Status Read(absl::FunctionRef<absl::Status(soci::session& sql)> body);

  // Tokens of list calls, with this database's key.
  const PageTokens& page_tokens() const { return *page_tokens_; }

 private:
  class FileLock;

  Database(Options options, std::unique_ptr<FileLock> lock);
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadPageTokens();
  absl::Status Run(bool write,
                   absl::FunctionRef<absl::Status(soci::session& sql)> body);

  const Options options_;
  const std::unique_ptr<FileLock> lock_;
  std::unique_ptr<PageTokens> page_tokens_;  // constant after Open
  absl::Mutex mutex_;
  std::unique_ptr<soci::session> session_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_DATABASE_H_
