#ifndef ATTUNE_WORKER_TUNING_CHECKPOINT_H_
#define ATTUNE_WORKER_TUNING_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/worker/v1/manifest.pb.h"
#include "proto/cc/artifact.h"

namespace attune::worker {

inline constexpr std::string_view kCheckpointManifestFile = "checkpoint.json";
inline constexpr std::string_view kCheckpointTensorFile =
    "checkpoint.safetensors";
inline constexpr int kCheckpointFormatVersion = 1;

// Everything that training changes. Together with job, rows and model it
// decides all further steps, so training goes on from a stored state as if it
// had never stopped. Tensors are [rows, dim], fp32, on the CPU.
struct TrainingState {
  at::Tensor prompt;
  at::Tensor exp_avg;      // of AdamW
  at::Tensor exp_avg_sq;   // of AdamW
  at::Tensor best_prompt;  // undefined unless progress.has_best()
  // Counters, and the job they belong to.
  v1::CheckpointManifest progress;
};

// The state before the first step. `prompt`: [rows, dim].
TrainingState MakeInitialState(const at::Tensor& prompt,
                               const v1::CheckpointManifest& job);

// The files of a checkpoint. Equal states give equal bytes.
absl::StatusOr<Artifact> EncodeCheckpoint(const TrainingState& state);

// Reads them back. DATA_LOSS (kCorruptArtifact) naming the file and what is
// wrong.
absl::StatusOr<TrainingState> DecodeCheckpoint(const Artifact& artifact);

// FAILED_PRECONDITION (kIllegalState) naming the first difference unless the
// checkpoint belongs to the job of `expected`: same name, model, rows, spec and
// a prompt of shape [num_rows, dim].
absl::Status CheckCheckpointFits(const TrainingState& state,
                                 const v1::CheckpointManifest& expected,
                                 int64_t num_rows, int64_t dim);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_CHECKPOINT_H_
