#ifndef ATTUNE_WORKER_INFERENCE_TARGET_RESOLVER_H_
#define ATTUNE_WORKER_INFERENCE_TARGET_RESOLVER_H_

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"
#include "worker/inference/artifact_source.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/inference_metrics.h"
#include "worker/models/model_store.h"
#include "worker/prompts/prompt_cache.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// Everything that answers an input, ready for use. Immutable, shared.
struct ResolvedTarget {
  std::shared_ptr<const LoadedModel> model;
  std::shared_ptr<const ServedPrompt> prompt;  // null: bare base model
  std::shared_ptr<const TaskProgram> program;
  std::string prompt_version;

  const AttachedPrompt* attached() const {
    return prompt == nullptr ? nullptr : &prompt->attached;
  }
  // What computes the answer: the base, or what the version makes of it.
  std::shared_ptr<const BaseModel> computing_model() const {
    if (prompt != nullptr && prompt->attached.adapted != nullptr) {
      return prompt->attached.adapted;
    }
    return {model, model->model.get()};
  }
};

// Turns targets into what answers them: loads models and prompts, compiles
// tasks, and keeps prompts and tasks. These hold no share in their model, so
// that it may leave the memory when no request uses it (ModelStore); what
// Resolve returns does. May block for as long as a download or a load takes, so
// it is called on preparation threads only. Thread-safe.
class TargetResolver {
 public:
  struct Options {
    size_t max_prompt_bytes = size_t{1} << 30;
    // Of compiled tasks; the newest is kept in any case.
    size_t max_programs = 1024;
    size_t max_program_bytes = size_t{512} << 20;
    absl::Duration fetch_timeout = absl::Seconds(30);
  };

  // Everything but `options` is borrowed.
  TargetResolver(Options options, ModelStore& models, ArtifactSource& artifacts,
                 InferenceMetrics& metrics, const Clock& clock);
  ~TargetResolver();

  // A task with num_nearest_demonstrations and without demonstrations gets
  // those of its artifact's manifest. kUnknownBaseModel, kModelMismatch naming
  // both fingerprints, and the errors of ModelStore::Load, PromptCache::Get and
  // TaskProgram::Compile.
  absl::StatusOr<std::shared_ptr<const ResolvedTarget>> Resolve(
      const InferenceTarget& target);

  // `name`: models/{id}. Loads the model unless it is loaded.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadModel(
      const std::string& name);

  // The time that it goes by.
  const Clock& clock() const { return clock_; }

  // Digests of the prompts that are ready, most recently used first.
  std::vector<std::string> WarmArtifacts() const { return cache_.Digests(); }

 private:
  using ProgramKey = std::pair<std::string, int64_t>;  // task, prompt rows

  struct Program {
    // Refers to the model without a share in it: only for use with `model`.
    std::shared_ptr<const TaskProgram> program;
    std::weak_ptr<const LoadedModel> model;  // that it was compiled for
    std::list<ProgramKey>::iterator place;
    size_t num_bytes = 0;
  };
  using Programs = std::map<ProgramKey, Program>;

  absl::StatusOr<std::shared_ptr<const ServedPrompt>> LoadPrompt(
      const std::string& digest,
      const std::shared_ptr<const LoadedModel>& model);
  // The target's task for `model`. prompt: the target's, or null.
  absl::StatusOr<std::shared_ptr<const TaskProgram>> CompileTask(
      const InferenceTarget& target, const ServedPrompt* prompt,
      const std::shared_ptr<const LoadedModel>& model);
  void DropProgramsOfGoneModels() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepProgramsSmall() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EraseProgram(Programs::iterator program)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  ModelStore& models_;
  InferenceMetrics& metrics_;
  const Clock& clock_;
  ArtifactSource& artifacts_;
  PromptCache cache_;

  absl::Mutex mutex_;
  Programs programs_ ABSL_GUARDED_BY(mutex_);
  std::list<ProgramKey> recency_ ABSL_GUARDED_BY(mutex_);  // newest first
  size_t num_program_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_TARGET_RESOLVER_H_
