#ifndef ATTUNE_WORKER_INFERENCE_ENGINE_H_
#define ATTUNE_WORKER_INFERENCE_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"
#include "proto/cc/executor.h"
#include "worker/inference/artifact_source.h"
#include "worker/inference/batch_policy.h"
#include "worker/inference/compute_budget.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/inference_metrics.h"
#include "worker/inference/target_resolver.h"
#include "worker/inference/work_item.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// Answers inputs. A call goes through one bounded queue: preparation threads
// load what it needs, render and tokenise; then the one engine thread batches
// all that is ready into passes (BatchRunner). Answers and pieces come back by
// callbacks on these threads, which must return soon. Thread-safe.
class Engine {
 public:
  struct Options {
    // Inputs that may wait for their first pass; more are refused.
    int max_waiting = 1024;
    BatchLimits limits;
    int num_preparation_threads = 2;
    TargetResolver::Options resolver;
  };
  using PredictDone =
      std::function<void(std::vector<attune::v1::PredictResult>)>;
  using OnPiece = std::function<void(GeneratedPiece)>;
  using GenerateDone =
      std::function<void(absl::StatusOr<attune::v1::PredictResult>)>;

  // Everything but `options` is borrowed and must outlive the engine.
  Engine(const Options& options, ModelStore& models, ArtifactSource& artifacts,
         ComputeBudget& budget, InferenceMetrics& metrics, const Clock& clock);
  ~Engine();

  // Answers every input of `call`; `done` is called once, with one result per
  // input, in their order. A bad input has an error of its own and does not
  // disturb the others. kQueueFull or kDraining, and `done` is not called, when
  // the call cannot be taken.
  absl::Status Predict(InferenceCall call,
                       std::shared_ptr<const CallContext> context,
                       PredictDone done);

  // Generates text for the one input of `call`; calls `on_piece` for each piece
  // and then `done` once, with the whole text. kIllegalState (through `done`)
  // if the task is no generation; other errors as for Predict.
  absl::Status Generate(InferenceCall call,
                        std::shared_ptr<const CallContext> context,
                        OnPiece on_piece, GenerateDone done);

  // Loads a model ahead of its first request. While the caller keeps the
  // result, no other model drives it out of memory.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> Preload(
      const std::string& model_name);

  // What it answers with: models and prompts that are warm for requests are so
  // for other work, too.
  TargetResolver& targets() { return resolver_; }

  // Takes no more calls and waits until those taken are answered, at most for
  // `limit`. False if some were not.
  bool Drain(absl::Duration limit);

  // Ends what still runs or waits, as kDraining, and stops both kinds of
  // threads; waits for a download or load that has begun. The destructor does
  // so, too.
  void Stop();

  // Inputs that wait for their first pass.
  int num_waiting() const { return num_waiting_; }
  std::vector<std::string> WarmArtifacts() const {
    return resolver_.WarmArtifacts();
  }

 private:
  // Takes a place for each input and begins preparation.
  absl::Status Admit(InferenceCall call, std::vector<WorkOrigin> origins,
                     bool stream);
  // On a preparation thread.
  void Prepare(const InferenceCall& call, std::vector<WorkOrigin> origins,
               bool stream);
  void RunLoop();

  const Options options_;
  ComputeBudget& budget_;
  InferenceMetrics& metrics_;
  const Clock& clock_;
  TargetResolver resolver_;
  std::atomic<int> num_waiting_ = 0;
  std::atomic<int> num_unanswered_ = 0;  // inputs
  std::atomic<bool> stopping_ = false;   // prepare nothing more

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<WorkItem>> ready_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  Executor preparation_;
  std::thread thread_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_ENGINE_H_
