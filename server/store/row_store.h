#ifndef ATTUNE_SERVER_STORE_ROW_STORE_H_
#define ATTUNE_SERVER_STORE_ROW_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"

namespace soci {
class session;
}

namespace attune::server {

class Database;

// Rows per split; "" for rows without one.
using SplitRows = std::map<std::string, int64_t>;

// The digest of a list of rows: d(0) = SHA-256 of nothing, d(n) = SHA-256 of
// d(n-1) in hexadecimal, then the row's canonical JSON (keys sorted, no spaces,
// UTF-8), then '\n'. So an append costs its own rows only, and anyone who has
// the rows can check any prefix. Not thread-safe.
class RowDigest {
 public:
  RowDigest();
  // Goes on from the digest of earlier rows.
  explicit RowDigest(std::string digest) : digest_(std::move(digest)) {}
  void Add(std::string_view row);
  const std::string& hex() const { return digest_; }

 private:
  std::string digest_;
};

// The rows of a job, fixed before it is created. A value.
struct PinnedRows {
  v1::DatasetSnapshot snapshot;
  // The dataset's number, or 0 for inline rows.
  int64_t dataset_number = 0;
  // Canonical JSON; only for inline rows.
  std::vector<std::string> inline_rows;
  SplitRows split_rows;
};

// Where the rows of a snapshot lie. A value.
struct SnapshotKey {
  int64_t dataset_number = 0;  // or 0: rows of their own
  int64_t segment = 0;         // only for rows of their own
  int64_t num_rows = 0;
  std::string digest;
};

// Rows in segments: an append, an upload or the inline rows of one job. A
// segment is filled in many small transactions and becomes part of a dataset in
// one. Rows lie in blocks of lines, about 256 KiB each. Stateless; `sql` is a
// transaction of the caller.
class RowStore {
 public:
  explicit RowStore(soci::session& sql) : sql_(sql) {}

  // A new segment that belongs to nothing yet.
  int64_t NewSegment();
  // Adds rows after those that the segment has.
  void AddRows(int64_t segment, const std::vector<std::string>& rows);
  // Makes a segment part of a dataset, after its first `first_row` rows.
  void Publish(int64_t segment, int64_t dataset_number, int64_t first_row);
  void DeleteSegment(int64_t segment);
  // The digest of earlier rows with this digest and then the segment's.
  std::string DigestAfter(int64_t segment, std::string digest);
  // Removes segments that belong to no dataset and no job. Returns how many.
  int64_t DeleteOrphans();

 private:
  soci::session& sql_;
};

// Reads the rows of a snapshot in order, block by block, each in a short
// transaction of its own. Not thread-safe; blocks on the disk.
class SnapshotReader {
 public:
  SnapshotReader(Database& database, SnapshotKey key);

  // The next rows, at most about 256 KiB or one row; empty at the end.
  // DATA_LOSS (kCorruptArtifact): the rows do not have the snapshot's number
  // and digest. NOT_FOUND: they were deleted meanwhile.
  absl::StatusOr<std::vector<std::string>> Next();

 private:
  // Reads the block at rows_read_; false if there is none.
  bool ReadBlock(soci::session& sql, std::string& lines);

  Database* database_;
  SnapshotKey key_;
  RowDigest digest_;
  int64_t rows_read_ = 0;
  int64_t segment_ = 0;  // the segment read last
  int64_t next_in_segment_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_ROW_STORE_H_
