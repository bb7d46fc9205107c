#include "server/api/target_resolver.h"

#include <memory>
#include <string>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/task_checks.h"
#include "server/registry/prompt_registry.h"

namespace attune::server {
namespace {

absl::StatusOr<worker::v1::EngineTarget> ResolveBase(const v1::BaseTarget& base,
                                                     const std::string& path) {
  FieldViolations violations;
  violations.AddAll(
      "", ParseResourceName(kModelCollection, base.model(), path + ".model")
              .status());
  CheckTask(base.task(), /*labels_required=*/true, path + ".task", violations);
  ATTUNE_RETURN_IF_ERROR(violations.ToStatus());
  worker::v1::EngineTarget target;
  target.set_model(base.model());
  *target.mutable_task() = base.task();
  return target;
}

}  // namespace

absl::StatusOr<worker::v1::EngineTarget> ResolveTarget(
    const PromptRegistry& prompts, const v1::InferenceTarget& target,
    std::string_view path) {
  if (target.has_base()) {
    return ResolveBase(target.base(), Concat(path, ".base"));
  }
  if (!target.has_prompt()) {
    return InvalidField(path, "is required: set prompt or base");
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const PromptReference reference,
      ParsePromptReference(target.prompt(), Concat(path, ".prompt")));
  ATTUNE_ASSIGN_OR_RETURN(const auto version, prompts.Resolve(reference));
  worker::v1::EngineTarget resolved;
  resolved.set_model(version->base_model);
  *resolved.mutable_task() = version->task;
  resolved.set_artifact_digest(version->artifact_digest);
  resolved.set_prompt_version(version->name);
  resolved.set_model_fingerprint(version->model_fingerprint);
  return resolved;
}

Fleet::Need NeedOf(const worker::v1::EngineTarget& target) {
  return {target.model(), target.model_fingerprint(), target.artifact_digest()};
}

}  // namespace attune::server
