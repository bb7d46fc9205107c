#include "worker/tuning/checkpoint.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>

#include <string>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/stable_json.h"

namespace attune::worker {
namespace {

constexpr char kPrompt[] = "prompt";
constexpr char kExpAvg[] = "exp_avg";
constexpr char kExpAvgSq[] = "exp_avg_sq";
constexpr char kBestPrompt[] = "best_prompt";

absl::Status Corrupt(std::string_view file, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("file '", file, "' of the checkpoint: ", what),
                   {{"file", std::string(file)}});
}

absl::Status CorruptTensors(std::string_view what) {
  return Corrupt(kCheckpointTensorFile, what);
}

// Takes a tensor of the shape of the prompt out of the file.
absl::Status Take(const Safetensors& tensors, const std::string& name,
                  at::Tensor& target) {
  absl::StatusOr<at::Tensor> tensor = tensors.Get(name);
  if (!tensor.ok()) return CorruptTensors(ToStd(tensor.status().message()));
  if (tensor->scalar_type() != at::kFloat || tensor->dim() != 2 ||
      !at::isfinite(*tensor).all().item<bool>()) {
    return CorruptTensors(
        Concat("tensor '", name, "' must be a finite F32 matrix"));
  }
  target = *std::move(tensor);
  return absl::OkStatus();
}

absl::Status TakeAll(const std::string& bytes, TrainingState& state) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kCheckpointTensorFile));
  if (!tensors.ok()) return CorruptTensors(ToStd(tensors.status().message()));
  ATTUNE_RETURN_IF_ERROR(Take(*tensors, kPrompt, state.prompt));
  ATTUNE_RETURN_IF_ERROR(Take(*tensors, kExpAvg, state.exp_avg));
  ATTUNE_RETURN_IF_ERROR(Take(*tensors, kExpAvgSq, state.exp_avg_sq));
  if (state.progress.has_best()) {
    ATTUNE_RETURN_IF_ERROR(Take(*tensors, kBestPrompt, state.best_prompt));
  }
  const size_t expected = state.progress.has_best() ? 4 : 3;
  if (tensors->entries().size() != expected) {
    return CorruptTensors(Concat("it holds ", tensors->entries().size(),
                                 " tensors instead of ", expected));
  }
  for (const at::Tensor* other :
       {&state.exp_avg, &state.exp_avg_sq, &state.best_prompt}) {
    if (other->defined() && other->sizes() != state.prompt.sizes()) {
      return CorruptTensors("its tensors differ in shape");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCounters(const v1::CheckpointManifest& progress) {
  if (progress.format_version() != kCheckpointFormatVersion) {
    return Corrupt(kCheckpointManifestFile,
                   Concat("its format_version is ", progress.format_version(),
                          "; only ", kCheckpointFormatVersion, " is read"));
  }
  if (progress.step() < 0 || progress.rows_taken() < 0 ||
      progress.best_step() > progress.step() ||
      progress.validated_step() > progress.step() ||
      progress.num_nonfinite_steps() < 0 ||
      progress.num_nonfinite_steps() > progress.step()) {
    return Corrupt(kCheckpointManifestFile,
                   "its counters contradict each other");
  }
  return absl::OkStatus();
}

absl::Status Unfit(std::string_view what, std::string_view found,
                   std::string_view expected) {
  return MakeError(Reason::kIllegalState,
                   Concat("the checkpoint is of ", what, " '", found,
                          "', not '", expected, "'"));
}

}  // namespace

TrainingState MakeInitialState(const at::Tensor& prompt,
                               const v1::CheckpointManifest& job) {
  TrainingState state{.prompt = prompt.clone(),
                      .exp_avg = at::zeros_like(prompt),
                      .exp_avg_sq = at::zeros_like(prompt),
                      .best_prompt = at::Tensor(),
                      .progress = job};
  state.progress.set_format_version(kCheckpointFormatVersion);
  return state;
}

absl::StatusOr<Artifact> EncodeCheckpoint(const TrainingState& state) {
  TensorMap tensors = {{kPrompt, state.prompt},
                       {kExpAvg, state.exp_avg},
                       {kExpAvgSq, state.exp_avg_sq}};
  if (state.best_prompt.defined()) tensors[kBestPrompt] = state.best_prompt;
  Artifact artifact;
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kCheckpointManifestFile)],
                          ToStableJson(state.progress));
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kCheckpointTensorFile)],
                          WriteSafetensors(tensors));
  return artifact;
}

absl::StatusOr<TrainingState> DecodeCheckpoint(const Artifact& artifact) {
  for (std::string_view name :
       {kCheckpointManifestFile, kCheckpointTensorFile}) {
    if (!artifact.files.contains(std::string(name))) {
      return Corrupt(name, "it is missing");
    }
  }
  TrainingState state;
  const absl::Status parsed = FromStrictJson(
      artifact.files.at(std::string(kCheckpointManifestFile)), state.progress);
  if (!parsed.ok()) {
    return Corrupt(kCheckpointManifestFile, ToStd(parsed.message()));
  }
  ATTUNE_RETURN_IF_ERROR(CheckCounters(state.progress));
  ATTUNE_RETURN_IF_ERROR(
      TakeAll(artifact.files.at(std::string(kCheckpointTensorFile)), state));
  return state;
}

absl::Status CheckCheckpointFits(const TrainingState& state,
                                 const v1::CheckpointManifest& expected,
                                 int64_t num_rows, int64_t dim) {
  const v1::CheckpointManifest& found = state.progress;
  if (found.tuning_job() != expected.tuning_job()) {
    return Unfit("job", found.tuning_job(), expected.tuning_job());
  }
  if (found.model_fingerprint() != expected.model_fingerprint()) {
    return Unfit("model", found.model_fingerprint(),
                 expected.model_fingerprint());
  }
  if (found.snapshot_digest() != expected.snapshot_digest()) {
    return Unfit("rows", found.snapshot_digest(), expected.snapshot_digest());
  }
  if (StableBytes(found.resolved_spec()) !=
      StableBytes(expected.resolved_spec())) {
    return MakeError(Reason::kIllegalState,
                     "the checkpoint was made with another spec");
  }
  if (state.prompt.size(0) != num_rows || state.prompt.size(1) != dim) {
    return Unfit("shape",
                 Concat(state.prompt.size(0), " x ", state.prompt.size(1)),
                 Concat(num_rows, " x ", dim));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
