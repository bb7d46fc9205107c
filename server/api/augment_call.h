#ifndef ATTUNE_SERVER_API_AUGMENT_CALL_H_
#define ATTUNE_SERVER_API_AUGMENT_CALL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/dataset_service.pb.h"
#include "attune/worker/v1/engine.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"
#include "server/api/relay_call.h"
#include "server/api/row_source.h"
#include "server/datasets/new_dataset.h"

namespace attune::server {

class DatasetCatalog;
class PromptRegistry;

// One AugmentDataset: sends the rows of the dataset to a worker, stages the new
// rows as they come and passes the progress on. The new dataset comes into
// being when the worker has ended well, in one transaction; until then a call
// that ends takes everything staged with it.
class AugmentCall final : public RelayCall<v1::AugmentDatasetResponse,
                                           worker::v1::EngineAugmentRequest,
                                           worker::v1::EngineAugmentResponse> {
 public:
  struct Parts {
    const PromptRegistry& prompts;
    DatasetCatalog& datasets;
    Fleet& fleet;
    EnginePool& engines;
  };

  // deadline: of the call to the worker.
  AugmentCall(const ApiHost& host, const Parts& parts,
              const v1::AugmentDatasetRequest& request, absl::Time deadline);

 private:
  absl::StatusOr<Question> Ask() override;
  Next Make(v1::AugmentDatasetResponse* message, absl::Status* status) override;
  // Worker's progress, or kEnd when `result_` is there or an error.
  Next TakeProgress(v1::AugmentDatasetResponse* message, absl::Status* status);
  // Some of the source's rows; true while there are more.
  absl::StatusOr<bool> CopySourceRows();
  absl::Status Stage(
      const google::protobuf::RepeatedPtrField<std::string>& rows);
  // Makes the dataset, if there are rows for it, and the last message.
  absl::Status Complete(v1::AugmentDatasetResponse* message);

  const Parts parts_;
  const v1::AugmentDatasetRequest request_;

  // Used by steps only.
  std::unique_ptr<NewDataset> dataset_;
  RowSource source_;  // only with include_source_rows
  std::string classifier_version_;
  v1::AugmentDatasetResponse result_;  // with labels when the worker has ended
  bool worker_ended_ = false;
  int64_t num_source_rows_ = 0;
  bool completed_ = false;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_AUGMENT_CALL_H_
