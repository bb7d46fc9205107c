#ifndef ATTUNE_SERVER_JOBS_INIT_VERSION_H_
#define ATTUNE_SERVER_JOBS_INIT_VERSION_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "attune/v1/tuning_service.pb.h"

namespace soci {
class session;
}

// The version that a job's rows or prefix start as.
namespace attune::server {

class PromptRegistry;

// As the method names it; empty where it names none.
const std::string& InitVersionOf(const v1::TuningMethod& method);

// The method of `spec` with the version that an alias stands for now, so that a
// job that runs later or again starts from the same; nothing where it names
// none. Blocks on the disk. NOT_FOUND: no such prompt, version or alias.
// FAILED_PRECONDITION: it was made for another base model (kModelMismatch), or
// the method cannot start from one of its kind (kIllegalState). All name the
// field below "tuning_job.spec".
absl::StatusOr<std::optional<v1::TuningMethod>> PinInitVersion(
    const PromptRegistry& registry, const v1::TuningJobSpec& spec);

// The digest of that version's artifact, of a job as it is stored; empty where
// the method names none or it is gone. In the caller's transaction.
std::string FindInitArtifact(soci::session& sql,
                             const v1::TuningMethod& method);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_INIT_VERSION_H_
