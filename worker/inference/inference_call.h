#ifndef ATTUNE_WORKER_INFERENCE_INFERENCE_CALL_H_
#define ATTUNE_WORKER_INFERENCE_INFERENCE_CALL_H_

#include <google/protobuf/struct.pb.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/inference_service.pb.h"
#include "attune/v1/task.pb.h"

namespace attune::worker {

// What answers: a prompt version, or a bare base model without one.
struct InferenceTarget {
  std::string model;  // models/{id}
  attune::v1::TaskSpec task;
  std::string artifact_digest;    // empty: bare base model
  std::string prompt_version;     // prompts/{id}/versions/{n}, or empty
  std::string model_fingerprint;  // the model must have it; empty: any
};

// One input.
struct InferenceInput {
  size_t target = 0;  // index into the call's targets
  google::protobuf::Struct fields;
  attune::v1::Decoding decoding;  // over the task's
};

// What is asked in one go.
struct InferenceCall {
  std::vector<InferenceTarget> targets;
  std::vector<InferenceInput> inputs;
};

// Until when, and whether, somebody waits for the answers. Shared by the edge,
// which cancels, and the engine, which looks before every pass. Thread-safe.
class CallContext {
 public:
  explicit CallContext(absl::Time deadline = absl::InfiniteFuture())
      : deadline_(deadline) {}

  void Cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }
  absl::Time deadline() const { return deadline_; }
  // kCancelled or kDeadlineExceeded once nobody waits any more.
  absl::Status Check(absl::Time now) const;

 private:
  const absl::Time deadline_;
  std::atomic<bool> cancelled_ = false;
};

// A piece of a generation that is streamed.
struct GeneratedPiece {
  std::string text;  // whole characters only
  int num_generated_tokens = 0;
  int num_input_tokens = 0;
};

// An answer that carries `error` (with its reason) instead.
attune::v1::PredictResult MakeErrorResult(const absl::Status& error,
                                          const std::string& prompt_version);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_INFERENCE_CALL_H_
