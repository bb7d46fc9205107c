#ifndef ATTUNE_SERVER_API_PREFLIGHT_CALL_H_
#define ATTUNE_SERVER_API_PREFLIGHT_CALL_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/executor.h"
#include "proto/cc/unary_call.h"
#include "server/api/engine_pool.h"
#include "server/store/row_store.h"

namespace attune::server {

class DatasetCatalog;
class Fleet;
class PromptRegistry;

// One PreflightTuningJob: what the server finds wrong with the spec, and what a
// worker finds in spec and rows, where it can be asked. Lives until the worker
// has answered.
class PreflightCall : public std::enable_shared_from_this<PreflightCall> {
 public:
  struct Parts {
    const PromptRegistry& prompts;
    const DatasetCatalog& datasets;
    Fleet& fleet;
    EnginePool& engines;
    // Reads rows.
    Executor& executor;
  };

  // call: finished by this. request and response stay valid until then.
  // deadline: of the call to the worker.
  PreflightCall(const Parts& parts, std::shared_ptr<UnaryCall> call,
                const v1::PreflightTuningJobRequest& request,
                v1::PreflightTuningJobResponse* response, absl::Time deadline);

  // Begins; called once, on the executor.
  void Run();

 private:
  class EngineStream;

  // Whether a worker is asked.
  absl::StatusOr<bool> Begin();
  // The job's rows; none, with an error among the findings, where they are
  // wrong. An error where the dataset does not exist.
  absl::StatusOr<std::optional<PinnedRows>> PinRows();
  absl::Status AskWorker(PinnedRows rows);
  void OnAnswer(const absl::Status& status,
                v1::PreflightTuningJobResponse found);

  const Parts parts_;
  const std::shared_ptr<UnaryCall> call_;
  const v1::PreflightTuningJobRequest& request_;
  v1::PreflightTuningJobResponse& response_;
  const absl::Time deadline_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_PREFLIGHT_CALL_H_
