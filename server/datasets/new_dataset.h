#ifndef ATTUNE_SERVER_DATASETS_NEW_DATASET_H_
#define ATTUNE_SERVER_DATASETS_NEW_DATASET_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.pb.h"
#include "proto/cc/clock.h"
#include "server/datasets/row_stage.h"
#include "server/store/dataset_store.h"

namespace soci {
class session;
}

namespace attune::server {

class Database;

// A dataset without rows, not stored yet. id: checked by the caller.
DatasetRecord EmptyDataset(std::string_view id, std::string_view display_name,
                           absl::Time now);

// kResourceExists if a dataset has this id, in the caller's transaction.
absl::Status CheckDatasetIsNew(soci::session& sql, std::string_view id);

// A dataset that comes into being with all its rows at once: they are staged as
// they come, and nothing stays when this is destroyed before Finish. Not
// thread-safe; may move between threads; calls block on the disk. database and
// clock must outlive it.
class NewDataset {
 public:
  // id: checked by the caller, also that it is free.
  NewDataset(Database& database, const Clock& clock, std::string_view id);

  // Adds a row, JSON text. INVALID_ARGUMENT (kInvalidData) saying what is wrong
  // with it; RESOURCE_EXHAUSTED (kLimitExceeded): too many rows.
  absl::Status Add(std::string_view row);

  int64_t num_rows() const { return stage_.num_rows(); }

  // Makes dataset and rows visible. kResourceExists: the id was taken
  // meanwhile; then nothing stays. Once.
  absl::StatusOr<v1::Dataset> Finish();

 private:
  Database& database_;
  const Clock& clock_;
  const std::string id_;
  RowStage stage_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_NEW_DATASET_H_
