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
    size_t max_programs = 1024;
    absl::Duration fetch_timeout = absl::Seconds(30);
  };

  // Everything but `options` is borrowed.
  TargetResolver(Options options, ModelStore& models, ArtifactSource& artifacts,
                 InferenceMetrics& metrics, const Clock& clock);
  ~TargetResolver();

  // kUnknownBaseModel, kModelMismatch naming both fingerprints, and the errors
  // of ModelStore::Load, PromptCache::Get and TaskProgram::Compile.
  absl::StatusOr<std::shared_ptr<const ResolvedTarget>> Resolve(
      const InferenceTarget& target);

  // `name`: models/{id}. Loads the model unless it is loaded.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadModel(
      const std::string& name);

  // Digests of the prompts that are ready, most recently used first.
  std::vector<std::string> WarmArtifacts() const { return cache_.Digests(); }

 private:
  using ProgramKey = std::pair<std::string, int64_t>;  // task, prompt rows

  struct Program {
    // Refers to the model without a share in it: only for use with `model`.
    std::shared_ptr<const TaskProgram> program;
    std::weak_ptr<const LoadedModel> model;  // that it was compiled for
    std::list<ProgramKey>::iterator place;
  };

  absl::StatusOr<std::shared_ptr<const ServedPrompt>> LoadPrompt(
      const std::string& digest,
      const std::shared_ptr<const LoadedModel>& model);
  absl::StatusOr<std::shared_ptr<const TaskProgram>> CompileTask(
      const attune::v1::TaskSpec& task,
      const std::shared_ptr<const LoadedModel>& model, int64_t num_prompt_rows);
  void DropProgramsOfGoneModels() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  ModelStore& models_;
  InferenceMetrics& metrics_;
  const Clock& clock_;
  ArtifactSource& artifacts_;
  PromptCache cache_;

  absl::Mutex mutex_;
  std::map<ProgramKey, Program> programs_ ABSL_GUARDED_BY(mutex_);
  std::list<ProgramKey> recency_ ABSL_GUARDED_BY(mutex_);  // newest first
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_TARGET_RESOLVER_H_
