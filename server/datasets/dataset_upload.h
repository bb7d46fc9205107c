#ifndef ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_
#define ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.pb.h"
#include "proto/cc/clock.h"
#include "proto/cc/digest.h"
#include "server/datasets/row_format.h"
#include "server/datasets/row_reader.h"
#include "server/datasets/row_stage.h"
#include "server/store/dataset_store.h"

namespace attune::server {

class Database;

inline constexpr int64_t kMaxUploadBytes = int64_t{256} << 20;
// As JSON, a file of many short rows below long column names is much larger.
inline constexpr int64_t kMaxUploadJsonBytes = int64_t{512} << 20;
inline constexpr int64_t kMaxUploadChunkBytes = int64_t{1} << 20;

// Receives one upload. Rows are staged as they come (RowStage), so nothing of
// it stays when this is destroyed before Finish. Not thread-safe; may move
// between threads; calls block on the disk. Must not outlive the database.
class DatasetUpload {
 public:
  // Begins an upload to `base`. split: canonical. max_json_bytes: of all rows.
  // INVALID_ARGUMENT naming header.format.
  static absl::StatusOr<std::unique_ptr<DatasetUpload>> Create(
      Database& database, const Clock& clock, v1::UploadExamplesHeader header,
      std::string split, DatasetRecord base,
      int64_t max_json_bytes = kMaxUploadJsonBytes);

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

  Database& database_;
  const Clock& clock_;
  const v1::UploadExamplesHeader header_;
  const DatasetRecord base_;  // the dataset when the upload began
  const int64_t max_json_bytes_;
  std::unique_ptr<RowReader> reader_;  // hands rows to Take
  Sha256 bytes_digest_;  // of the chunks so far, for the request's hash
  int64_t received_bytes_ = 0;
  RowStage stage_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_DATASET_UPLOAD_H_
