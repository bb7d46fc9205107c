#include "worker/inference/target_resolver.h"

#include <algorithm>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/prompts/stable_json.h"

namespace attune::worker {
namespace {

// Whether both share the same model, the same time that it was loaded.
bool IsOf(const std::weak_ptr<const LoadedModel>& a,
          const std::shared_ptr<const LoadedModel>& b) {
  return !a.owner_before(b) && !b.owner_before(a);
}

// `program` together with a share in the model that it refers to.
std::shared_ptr<const TaskProgram> WithModel(
    std::shared_ptr<const TaskProgram> program,
    std::shared_ptr<const LoadedModel> model) {
  struct Both {
    std::shared_ptr<const LoadedModel> model;
    std::shared_ptr<const TaskProgram> program;
  };
  const TaskProgram* const alone = program.get();
  auto both = std::make_shared<Both>();
  both->model = std::move(model);
  both->program = std::move(program);
  return {std::move(both), alone};
}

// Whether the task's demonstrations are those of the target's artifact.
bool LacksDemonstrations(const attune::v1::TaskSpec& task) {
  return task.num_nearest_demonstrations() > 0 && task.demonstrations().empty();
}

}  // namespace

TargetResolver::TargetResolver(Options options, ModelStore& models,
                               ArtifactSource& artifacts,
                               InferenceMetrics& metrics, const Clock& clock)
    : options_(options),
      models_(models),
      metrics_(metrics),
      clock_(clock),
      artifacts_(artifacts),
      cache_(options.max_prompt_bytes) {
  models_.SetEvictionListener([this] { cache_.DropOfGoneModels(); });
}

TargetResolver::~TargetResolver() { models_.SetEvictionListener(nullptr); }

absl::StatusOr<std::shared_ptr<const LoadedModel>> TargetResolver::LoadModel(
    const std::string& name) {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string id,
      ParseResourceName(kModelCollection, name, "target.model"));
  const std::vector<std::string> loaded = models_.LoadedIds();
  const bool cold = std::find(loaded.begin(), loaded.end(), id) == loaded.end();
  const absl::Duration start = clock_.Monotonic();
  absl::StatusOr<std::shared_ptr<const LoadedModel>> model = models_.Load(id);
  if (cold && model.ok()) {
    metrics_.ObserveModelLoad(clock_.Monotonic() - start);
  }
  return model;
}

absl::StatusOr<std::shared_ptr<const ServedPrompt>> TargetResolver::LoadPrompt(
    const std::string& digest,
    const std::shared_ptr<const LoadedModel>& model) {
  const bool hit = cache_.Find(digest) != nullptr;
  auto prompt = cache_.Get(digest, model, [this](const std::string& wanted) {
    return artifacts_.Fetch(wanted, clock_.Now() + options_.fetch_timeout);
  });
  metrics_.CountPromptCache(hit, cache_.Digests().size());
  return prompt;
}

void TargetResolver::EraseProgram(Programs::iterator program) {
  num_program_bytes_ -= program->second.num_bytes;
  recency_.erase(program->second.place);
  programs_.erase(program);
}

void TargetResolver::DropProgramsOfGoneModels() {
  for (auto it = programs_.begin(); it != programs_.end();) {
    const auto found = it++;
    if (found->second.model.expired()) EraseProgram(found);
  }
}

void TargetResolver::KeepProgramsSmall() {
  while (programs_.size() > 1 &&
         (programs_.size() > options_.max_programs ||
          num_program_bytes_ > options_.max_program_bytes)) {
    EraseProgram(programs_.find(recency_.back()));
  }
}

absl::StatusOr<std::shared_ptr<const TaskProgram>> TargetResolver::CompileTask(
    const InferenceTarget& target, const ServedPrompt* prompt,
    const std::shared_ptr<const LoadedModel>& model) {
  const int64_t num_prompt_rows =
      prompt == nullptr ? 0 : prompt->stored.length();
  const bool from_artifact =
      prompt != nullptr && LacksDemonstrations(target.task);
  // The model is part of the key: tokens and chat template are its own.
  const ProgramKey key = {
      Concat(model->info.id, "\n", from_artifact ? target.artifact_digest : "",
             "\n", StableBytes(target.task)),
      num_prompt_rows};
  {
    absl::MutexLock lock(&mutex_);
    auto found = programs_.find(key);
    if (found != programs_.end() && IsOf(found->second.model, model)) {
      recency_.splice(recency_.begin(), recency_, found->second.place);
      return WithModel(found->second.program, model);
    }
  }
  const std::shared_ptr<const LoadedModel> borrowed(std::shared_ptr<void>(),
                                                    model.get());
  attune::v1::TaskSpec task = target.task;
  if (from_artifact) {
    *task.mutable_demonstrations() =
        prompt->stored.manifest.task().demonstrations();
  }
  ATTUNE_ASSIGN_OR_RETURN(
      std::shared_ptr<const TaskProgram> program,
      TaskProgram::Compile(task, borrowed, num_prompt_rows));
  const size_t num_bytes = key.first.size() + program->num_bytes();
  absl::MutexLock lock(&mutex_);
  DropProgramsOfGoneModels();
  // Another thread may have been quicker: then both programs are equal.
  auto [place, added] = programs_.try_emplace(key);
  if (added) {
    recency_.push_front(key);
    place->second = {program, model, recency_.begin(), num_bytes};
    num_program_bytes_ += num_bytes;
    KeepProgramsSmall();
  }
  return WithModel(std::move(program), model);
}

absl::StatusOr<std::shared_ptr<const ResolvedTarget>> TargetResolver::Resolve(
    const InferenceTarget& target) {
  auto resolved = std::make_shared<ResolvedTarget>();
  resolved->prompt_version = target.prompt_version;
  ATTUNE_ASSIGN_OR_RETURN(resolved->model, LoadModel(target.model));
  const std::string& fingerprint = resolved->model->info.fingerprint;
  if (!target.model_fingerprint.empty() &&
      target.model_fingerprint != fingerprint) {
    return MakeError(
        Reason::kModelMismatch,
        Concat(target.prompt_version.empty() ? "the target"
                                             : target.prompt_version,
               " was made for ", target.model, " with fingerprint ",
               target.model_fingerprint, ", but this worker's ", target.model,
               " has fingerprint ", fingerprint,
               ": install the model the prompt was tuned for, or tune "
               "it again"),
        {{"expected", target.model_fingerprint}, {"actual", fingerprint}});
  }
  if (!target.artifact_digest.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(
        resolved->prompt, LoadPrompt(target.artifact_digest, resolved->model));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      resolved->program,
      CompileTask(target, resolved->prompt.get(), resolved->model));
  if (resolved->program->scores_by_head() &&
      (resolved->prompt == nullptr ||
       !resolved->prompt->stored.head.defined())) {
    return MakeError(
        Reason::kIllegalState,
        Concat(target.model, " (", resolved->model->info.config.family,
               ") has no layer for a task's labels by itself: tune "
               "a prompt for the task and ask its version"));
  }
  return resolved;
}

}  // namespace attune::worker
