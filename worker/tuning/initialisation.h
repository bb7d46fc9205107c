#ifndef ATTUNE_WORKER_TUNING_INITIALISATION_H_
#define ATTUNE_WORKER_TUNING_INITIALISATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/method.pb.h"
#include "proto/cc/artifact.h"
#include "worker/models/base_model.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The root mean square of the model's embedding table.
double EmbeddingRms(const BaseModel& model);

// The rows a prompt starts as, [num_virtual_tokens, dim], fp32 on the CPU.
// `method` has its defaults filled in; equal arguments give equal rows.
// INVALID_ARGUMENT if init_text has no tokens.
absl::StatusOr<at::Tensor> MakeInitialRows(
    const attune::v1::PromptTuning& method, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed);

// The version that a resolved method's rows or prefix start as, as its
// init_version names it; empty where they start otherwise.
const std::string& InitVersionOf(const attune::v1::TuningMethod& method);

// Reads that version. FAILED_PRECONDITION naming it: its files are damaged
// (kIllegalState), or it was made for another model (kModelMismatch).
absl::StatusOr<StoredPrompt> ReadInitVersion(const std::string& version,
                                             const Artifact& artifact,
                                             const ModelInfo& model);

// What a method trains in front of the input, by its names of trained_values.h:
// rows, or the keys and values that the model makes of such rows, and beside
// them the parameters of a network that helps. `version`: the one of
// InitVersionOf, if it names one. Errors of MakeInitialRows;
// FAILED_PRECONDITION (kIllegalState) for a version of the wrong kind;
// INVALID_ARGUMENT for a network that no checkpoint has room for.
absl::StatusOr<TensorMap> MakeInitialFront(
    const attune::v1::TuningMethod& method, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed, const StoredPrompt* version);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_INITIALISATION_H_
