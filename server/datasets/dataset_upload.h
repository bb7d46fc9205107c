#ifndef ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_
#define ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.pb.h"
#include "proto/cc/clock.h"
#include "proto/cc/digest.h"
#include "server/datasets/row_format.h"
#include "server/datasets/row_reader.h"
#include "server/store/dataset_store.h"
#include "server/store/row_store.h"

namespace soci {
class session;
}

namespace attune::server {

class Database;

inline constexpr int64_t kMaxDatasetRows = 1'000'000;
inline constexpr int64_t kMaxUploadBytes = int64_t{256} << 20;
// As JSON, a file of many short rows below long column names is much larger.
inline constexpr int64_t kMaxUploadJsonBytes = int64_t{512} << 20;
inline constexpr int64_t kMaxUploadChunkBytes = int64_t{1} << 20;

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

// Receives one upload. Rows are staged in the database as they come, invisible,
// and thrown away when this is destroyed before Finish. Not thread-safe; may
// move between threads; calls block on the disk. Must not outlive the
// database.
class DatasetUpload {
 public:
  // Begins an upload to `base`. split: canonical. max_json_bytes: of all rows.
  // INVALID_ARGUMENT naming header.format.
  static absl::StatusOr<std::unique_ptr<DatasetUpload>> Create(
      Database& database, const Clock& clock, v1::UploadExamplesHeader header,
      std::string split, DatasetRecord base,
      int64_t max_json_bytes = kMaxUploadJsonBytes);
  ~DatasetUpload();

  // More bytes of the file, cut anywhere. INVALID_ARGUMENT (kInvalidData)
  // naming the line that is wrong; RESOURCE_EXHAUSTED (kLimitExceeded): too
  // many bytes or rows. After an error only destruction is allowed.
  absl::Status Write(std::string_view chunk);

  // Makes all rows visible and returns the dataset. INVALID_ARGUMENT: the last
  // line is wrong, or the file has no rows. NOT_FOUND: the dataset was deleted
  // meanwhile. RESOURCE_EXHAUSTED (kLimitExceeded): it would have too many
  // rows. kRequestIdReused.
  absl::StatusOr<v1::Dataset> Finish();

 private:
  DatasetUpload(Database& database, const Clock& clock,
                v1::UploadExamplesHeader header, DatasetRecord base,
                int64_t max_json_bytes);
  absl::Status Take(Row row);
  absl::Status Stage();

  Database& database_;
  const Clock& clock_;
  const v1::UploadExamplesHeader header_;
  const DatasetRecord base_;  // the dataset when the upload began
  const int64_t max_json_bytes_;
  std::unique_ptr<RowReader> reader_;  // hands rows to Take
  RowDigest digest_;                   // of base_ and the rows so far
  Sha256 bytes_digest_;  // of the chunks so far, for the request's hash
  int64_t received_bytes_ = 0;
  StagedRows staged_;
  std::vector<std::string> pending_;  // not staged yet
  int64_t pending_bytes_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_
