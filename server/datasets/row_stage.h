#ifndef ATTUNE_SERVER_DATASETS_ROW_STAGE_H_
#define ATTUNE_SERVER_DATASETS_ROW_STAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.pb.h"
#include "server/datasets/row_format.h"
#include "server/store/dataset_store.h"
#include "server/store/row_store.h"

namespace soci {
class session;
}

namespace attune::server {

class Database;

inline constexpr int64_t kMaxDatasetRows = 1'000'000;

// RESOURCE_EXHAUSTED (kLimitExceeded): `dataset` would have too many rows.
absl::Status TooManyRows(std::string_view dataset);

// Rows in a segment that is to become part of a dataset.
struct StagedRows {
  int64_t segment = 0;
  int64_t num_rows = 0;
  int64_t num_bytes = 0;  // of their canonical JSON
  SplitRows split_rows;
  // The digest of the dataset with these rows, where it had `after_rows` rows.
  std::string digest;
  int64_t after_rows = 0;
};

// Makes staged rows the last ones of a dataset, in the caller's transaction,
// and brings `record` up to date. RESOURCE_EXHAUSTED (kLimitExceeded): the
// dataset would have too many rows.
absl::Status PublishRows(soci::session& sql, const StagedRows& rows,
                         absl::Time now, DatasetRecord& record);

// Rows on their way into a dataset: written to the database as they come,
// invisible, and thrown away when this is destroyed before Release. Not
// thread-safe; may move between threads; calls block on the disk. Must not
// outlive the database.
class RowStage {
 public:
  // base: the dataset as it is now, named in errors.
  RowStage(Database& database, const v1::Dataset& base);
  ~RowStage();
  RowStage(const RowStage&) = delete;
  RowStage& operator=(const RowStage&) = delete;

  // RESOURCE_EXHAUSTED (kLimitExceeded): more rows than a dataset may have.
  absl::Status Add(Row row);
  // Writes what has not been written yet.
  absl::Status Flush();

  int64_t num_rows() const { return staged_.num_rows; }
  int64_t num_bytes() const { return staged_.num_bytes + pending_bytes_; }
  // What is to be published; after Flush.
  const StagedRows& staged() const { return staged_; }
  // The rows were published: they are no longer this object's to delete.
  void Release() { staged_.segment = 0; }

 private:
  Database& database_;
  const std::string dataset_;
  RowDigest digest_;  // of the base and the rows so far
  StagedRows staged_;
  std::vector<std::string> pending_;  // not written yet
  int64_t pending_bytes_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_ROW_STAGE_H_
