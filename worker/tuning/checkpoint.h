#ifndef ATTUNE_WORKER_TUNING_CHECKPOINT_H_
#define ATTUNE_WORKER_TUNING_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/worker/v1/manifest.pb.h"
#include "proto/cc/artifact.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

inline constexpr std::string_view kCheckpointManifestFile = "checkpoint.json";
inline constexpr std::string_view kCheckpointTensorFile =
    "checkpoint.safetensors";
inline constexpr int kCheckpointFormatVersion = 4;

// A trained tensor and what stands beside it. All are fp32, on the CPU.
struct TrainedTensor {
  at::Tensor value;
  TensorMap slots;  // of the job's optimiser, by name (optimizer.h)
  // The running mean of the values (running_mean.h), as value; undefined unless
  // the resolved spec has an ema_decay.
  at::Tensor mean;
  at::Tensor best;  // as value; undefined unless progress.has_best()

  // What validations measure and may become the result: the running mean, or
  // without one the value.
  const at::Tensor& Measured() const { return mean.defined() ? mean : value; }
};

// Everything that training changes. Together with job, rows and model it
// decides all further steps, so training goes on from a stored state as if it
// had never stopped.
struct TrainingState {
  // By name (trained_values.h).
  std::map<std::string, TrainedTensor, std::less<>> tensors;
  // Counters, and the job they belong to.
  v1::CheckpointManifest progress;

  // All values, all that validations measure, or all of the best validation,
  // by name.
  TensorMap Values() const;
  TensorMap Measured() const;
  TensorMap Best() const;
};

// The state before the first step. `initial`: the values to begin with. The
// optimiser is that of the job's resolved spec.
TrainingState MakeInitialState(const TensorMap& initial,
                               const v1::CheckpointManifest& job);

// The files of a checkpoint. Equal states give equal bytes.
absl::StatusOr<Artifact> EncodeCheckpoint(const TrainingState& state);

// Reads them back. DATA_LOSS (kCorruptArtifact) naming the file and what is
// wrong, also where the slots are not those of the resolved spec's optimiser.
absl::StatusOr<TrainingState> DecodeCheckpoint(const Artifact& artifact);

// FAILED_PRECONDITION (kIllegalState) naming the first difference unless the
// checkpoint belongs to the job of `expected` (same name, model, rows and spec)
// and trains tensors of the names and shapes of `initial`.
absl::Status CheckCheckpointFits(const TrainingState& state,
                                 const v1::CheckpointManifest& expected,
                                 const TensorMap& initial);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_CHECKPOINT_H_
