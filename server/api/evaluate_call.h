#ifndef ATTUNE_SERVER_API_EVALUATE_CALL_H_
#define ATTUNE_SERVER_API_EVALUATE_CALL_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/evaluation_service.pb.h"
#include "attune/worker/v1/engine.pb.h"
#include "proto/cc/stream_call.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"

namespace attune::server {

class DatasetCatalog;
class Fleet;
class PromptRegistry;

inline constexpr int kMaxEvaluationRows = 100'000;

// What of a request needs no look at what is stored: INVALID_ARGUMENT or
// UNIMPLEMENTED naming every field that is wrong. Pure.
absl::Status CheckEvaluatePrompt(const v1::EvaluatePromptRequest& request);

// One EvaluatePrompt: sends the rows of the dataset to a worker and passes on
// what it answers, one message at a time. Whichever side ends first ends the
// other.
class EvaluateCall final : public StreamWriter<v1::EvaluatePromptResponse> {
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
  ~EvaluateCall() override;

 private:
  class EngineStream;

  Next Make(v1::EvaluatePromptResponse* message, absl::Status* status) override;
  void OnEnded() override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Open() ABSL_LOCKS_EXCLUDED(mutex_);
  // What the worker is asked.
  absl::StatusOr<worker::v1::EngineEvaluateHeader> MakeHeader() const;

  const ApiHost& host_;
  const Parts parts_;
  const v1::EvaluatePromptRequest request_;
  const absl::Time deadline_;
  bool opened_ = false;  // used by steps only

  absl::Mutex mutex_;
  std::shared_ptr<EngineStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_EVALUATE_CALL_H_
