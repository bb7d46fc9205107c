#ifndef ATTUNE_SERVER_API_EVALUATE_CALL_H_
#define ATTUNE_SERVER_API_EVALUATE_CALL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/evaluation_service.pb.h"
#include "attune/worker/v1/engine.pb.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"
#include "server/api/relay_call.h"

namespace attune::server {

class DatasetCatalog;
class PromptRegistry;

inline constexpr int kMaxEvaluationRows = 100'000;

// What of a request needs no look at what is stored: INVALID_ARGUMENT or
// UNIMPLEMENTED naming every field that is wrong. Pure.
absl::Status CheckEvaluatePrompt(const v1::EvaluatePromptRequest& request);

// One EvaluatePrompt: sends the rows of the dataset to a worker and passes on
// what it answers.
class EvaluateCall final : public RelayCall<v1::EvaluatePromptResponse,
                                            worker::v1::EngineEvaluateRequest,
                                            v1::EvaluatePromptResponse> {
 public:
  struct Parts {
    const PromptRegistry& prompts;
    const DatasetCatalog& datasets;
    Fleet& fleet;
    EnginePool& engines;
  };

  // deadline: of the call to the worker.
  EvaluateCall(const ApiHost& host, const Parts& parts,
               const v1::EvaluatePromptRequest& request, absl::Time deadline);

 private:
  absl::StatusOr<Question> Ask() override;
  Next Make(v1::EvaluatePromptResponse* message, absl::Status* status) override;
  // What the worker is asked.
  absl::StatusOr<worker::v1::EngineEvaluateHeader> MakeHeader() const;
  // What the comparison goes by. INVALID_ARGUMENT naming the task's metrics for
  // another one.
  absl::StatusOr<std::string> ChooseMetric(
      const worker::v1::EngineTarget& target) const;

  const Parts parts_;
  const v1::EvaluatePromptRequest request_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_EVALUATE_CALL_H_
