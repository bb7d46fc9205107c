#ifndef ATTUNE_WORKER_TUNING_ATTEMPT_H_
#define ATTUNE_WORKER_TUNING_ATTEMPT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/report.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/artifact.h"
#include "proto/cc/clock.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// What an attempt at a tuning job needs.
struct AttemptInput {
  attune::v1::TuningJob job;
  int attempt = 0;
  // The rows of the job's snapshot, JSON objects in their order.
  std::vector<std::string> rows;
  // The newest checkpoint of the attempts before, if there is one.
  std::optional<Artifact> checkpoint;
  // The version that the spec's init_version names, if it names one.
  std::optional<Artifact> init_version = std::nullopt;
};

// Hears of an attempt. Every function is called on the training thread, between
// steps, and should return soon.
class AttemptListener {
 public:
  virtual ~AttemptListener() = default;

  // Once, when every default has been chosen and the task fits the model.
  virtual void OnResolvedSpec(const attune::v1::TuningJobSpec& spec) = 0;
  // After every step and every batch of an evaluation.
  virtual void OnProgress(const attune::v1::TuningProgress& progress) = 0;
  // Words for people.
  virtual void OnNotice(std::string message) = 0;
  // A checkpoint after `step` steps; newer ones replace it.
  virtual void OnCheckpoint(Artifact checkpoint, int step) = 0;
  // Whether to stop here. Asked before every step and batch.
  virtual bool StopRequested() = 0;
  // Called before every forward and every other piece of work, so that the
  // thread's share of the cores can be set (SetComputeThreads). May block while
  // other jobs compute.
  virtual void BeforeStep() = 0;
};

// What a finished attempt hands over.
struct AttemptResult {
  Artifact artifact;  // the prompt version's files
  attune::v1::TuningReport report;
  attune::v1::TuningJobSpec resolved_spec;
  std::string model_fingerprint;
};

// Runs a tuning job from its beginning or its checkpoint to its result on the
// calling thread: prepares rows, measures the base, trains, measures the best
// checkpoint. CANCELLED when the listener asked to stop, after handing over a
// checkpoint where steps were made since the last one. Every other error is the
// job's, with the reason of proto/cc/status.h: kInvalidData, kInvalidTemplate,
// kInputTooLong, kInvalidField, kUnsupportedField, kUnknownBaseModel,
// kIllegalState, kNonfiniteLoss, kOutOfMemory, kCorruptModel. A checkpoint that
// is damaged or belongs to another spec is left aside with a notice.
absl::StatusOr<AttemptResult> RunAttempt(const AttemptInput& input,
                                         ModelStore& models, const Clock& clock,
                                         AttemptListener& listener);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_ATTEMPT_H_
