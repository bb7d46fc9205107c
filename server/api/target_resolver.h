#ifndef ATTUNE_SERVER_API_TARGET_RESOLVER_H_
#define ATTUNE_SERVER_API_TARGET_RESOLVER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "attune/v1/inference_service.pb.h"
#include "attune/worker/v1/engine.pb.h"
#include "server/fleet/fleet.h"

namespace attune::server {

class PromptRegistry;

// What a public target means for an engine: aliases resolved to an immutable
// version, base targets checked. From memory; never blocks. INVALID_ARGUMENT
// naming the field below `path`; NOT_FOUND: no such prompt, version or alias.
absl::StatusOr<worker::v1::EngineTarget> ResolveTarget(
    const PromptRegistry& prompts, const v1::InferenceTarget& target,
    std::string_view path);

// What a worker must hold to compute with `target`.
Fleet::Need NeedOf(const worker::v1::EngineTarget& target);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TARGET_RESOLVER_H_
