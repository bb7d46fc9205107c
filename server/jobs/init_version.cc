#include "server/jobs/init_version.h"

#include <cstdint>
#include <string_view>
#include <variant>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/registry/prompt_registry.h"
#include "server/store/prompt_store.h"

namespace attune::server {
namespace {

std::string PathOf(const v1::TuningMethod& method) {
  return Concat("tuning_job.spec.method.",
                method.has_prefix_tuning() ? "prefix_tuning" : "prompt_tuning",
                ".init_version");
}

// Whether `source` has rows or a prefix that `method` can start from.
absl::Status CheckKinds(const v1::TuningMethod& method,
                        const v1::PromptVersion& source,
                        const std::string& path) {
  if (source.method().has_prompt_tuning()) return absl::OkStatus();
  if (method.has_prefix_tuning() && source.method().has_prefix_tuning()) {
    return absl::OkStatus();
  }
  return MakeError(
      Reason::kIllegalState,
      Concat(path, ": ", source.name(),
             source.method().has_prefix_tuning()
                 ? " is a prefix, which cannot be turned back into rows that "
                   "would give its keys and values: name a version of "
                   "prompt_tuning, or train a prefix"
                 : " has neither rows nor a prefix: name a version of "
                   "prompt_tuning or prefix_tuning"),
      {{"field", path}});
}

}  // namespace

const std::string& InitVersionOf(const v1::TuningMethod& method) {
  return method.has_prefix_tuning() ? method.prefix_tuning().init_version()
                                    : method.prompt_tuning().init_version();
}

absl::StatusOr<std::optional<v1::TuningMethod>> PinInitVersion(
    const PromptRegistry& registry, const v1::TuningJobSpec& spec) {
  const std::string& name = InitVersionOf(spec.method());
  if (name.empty()) return std::nullopt;
  const std::string path = PathOf(spec.method());
  ATTUNE_ASSIGN_OR_RETURN(const PromptReference reference,
                          ParsePromptReference(name, path));
  const absl::StatusOr<v1::PromptVersion> source =
      registry.GetVersion(reference);
  if (!source.ok()) return WithContext(source.status(), path);
  if (source->base_model() != spec.base_model()) {
    return MakeError(Reason::kModelMismatch,
                     Concat(path, ": ", source->name(), " was made for '",
                            source->base_model(), "', and this job tunes '",
                            spec.base_model(), "'"),
                     {{"field", path}});
  }
  ATTUNE_RETURN_IF_ERROR(CheckKinds(spec.method(), *source, path));
  v1::TuningMethod pinned = spec.method();
  if (pinned.has_prefix_tuning()) {
    pinned.mutable_prefix_tuning()->set_init_version(source->name());
  } else {
    pinned.mutable_prompt_tuning()->set_init_version(source->name());
  }
  return pinned;
}

std::string FindInitArtifact(soci::session& sql,
                             const v1::TuningMethod& method) {
  const std::string& name = InitVersionOf(method);
  if (name.empty()) return "";
  const absl::StatusOr<PromptReference> reference =
      ParsePromptReference(name, "init_version");
  if (!reference.ok()) return "";
  const auto* number = std::get_if<int64_t>(&reference->version);
  if (number == nullptr) return "";  // never stored
  PromptStore store(sql);
  const std::optional<PromptRecord> prompt = store.Find(reference->prompt_id);
  if (!prompt.has_value()) return "";
  const std::optional<VersionRecord> version =
      store.FindVersion(prompt->number, *number);
  return version.has_value() ? version->version.artifact_digest() : "";
}

}  // namespace attune::server
