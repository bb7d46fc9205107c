#ifndef ATTUNE_SERVER_DATASETS_DATASET_CATALOG_H_
#define ATTUNE_SERVER_DATASETS_DATASET_CATALOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/dataset_service.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/clock.h"
#include "server/datasets/dataset_upload.h"
#include "server/datasets/new_dataset.h"
#include "server/store/page.h"
#include "server/store/row_store.h"

namespace attune::server {

class Database;

inline constexpr int64_t kMaxAppendRows = 10'000;
inline constexpr int64_t kMaxAppendBytes = int64_t{3} << 20;

// Rows in a request as canonical JSON, with their splits and digest, for a job
// of its own. INVALID_ARGUMENT naming `path`[index]: no rows, too many, too
// big, or one is wrong.
absl::StatusOr<PinnedRows> PinInlineRows(const v1::InlineRows& rows,
                                         std::string_view path);

// Datasets: named lists of rows that only grow. Thread-safe; stateless above
// the database; all calls block on the disk. Ids and display names are checked
// by the caller; request ids, rows and page fields here.
class DatasetCatalog {
 public:
  // Removes what uploads of an earlier process left. database, clock: must
  // outlive this.
  static absl::StatusOr<std::unique_ptr<DatasetCatalog>> Create(
      Database& database, const Clock& clock);

  // kResourceExists; kRequestIdReused. The same request within 24 hours returns
  // the dataset.
  absl::StatusOr<v1::Dataset> CreateDataset(
      const v1::CreateDatasetRequest& request);
  // Begins a dataset that is there when all its rows are. kResourceExists.
  absl::StatusOr<std::unique_ptr<NewDataset>> BeginDataset(std::string_view id);
  absl::StatusOr<v1::Dataset> GetDataset(std::string_view id) const;
  absl::StatusOr<Page<v1::Dataset>> ListDatasets(
      const PageRequest& request) const;
  // NOT_FOUND. FAILED_PRECONDITION (kResourceInUse): an unfinished job uses it.
  absl::Status DeleteDataset(std::string_view id);

  // Appends all rows or none. id: of request.dataset. Errors name "rows[i]".
  absl::StatusOr<v1::Dataset> AppendExamples(
      std::string_view id, const v1::AppendExamplesRequest& request);

  // Begins an upload. id: of header.dataset. NOT_FOUND. INVALID_ARGUMENT:
  // header.split or header.format.
  absl::StatusOr<std::unique_ptr<DatasetUpload>> BeginUpload(
      std::string_view id, const v1::UploadExamplesHeader& header);

  // The rows a job created now would use. NOT_FOUND. FAILED_PRECONDITION
  // (kIllegalState): it has no rows.
  absl::StatusOr<PinnedRows> Pin(std::string_view id) const;

  // Reads rows that Pin gave. Must not outlive the database.
  SnapshotReader OpenRows(const PinnedRows& rows) const;

 private:
  DatasetCatalog(Database& database, const Clock& clock)
      : database_(database), clock_(clock) {}

  Database& database_;
  const Clock& clock_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_DATASET_CATALOG_H_
