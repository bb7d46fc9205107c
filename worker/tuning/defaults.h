#ifndef ATTUNE_WORKER_TUNING_DEFAULTS_H_
#define ATTUNE_WORKER_TUNING_DEFAULTS_H_

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"

namespace attune::worker {

// What the defaults of a job depend on.
struct JobFacts {
  int64_t num_train_rows = 0;
  int64_t context_length = 0;
  double embedding_rms = 0;
  c10::ScalarType dtype = c10::ScalarType::Float;  // of the loaded model
  int64_t embedding_dim = 0;
  int64_t num_layers = 0;  // that a prefix may stand before
  bool is_encoder = false;
};

// `spec` with every default filled in as the protos say, so that resolving the
// result again changes nothing. Its task has its own defaults and labels
// already. Inline rows are left out: the job's snapshot has them.
// INVALID_ARGUMENT or UNIMPLEMENTED naming every field (as "spec.<path>") that
// is out of its range or not served; FAILED_PRECONDITION for a precision that
// this worker does not run.
absl::StatusOr<attune::v1::TuningJobSpec> ResolveSpec(
    const attune::v1::TuningJobSpec& spec, const JobFacts& facts);

// The positions of the context that a resolved method takes.
int NumVirtualTokens(const attune::v1::TuningMethod& method);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_DEFAULTS_H_
