#include "worker/tuning/checkpoint.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/prompts/stable_json.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/training_series.h"

namespace attune::worker {
namespace {

// What stands behind a trained tensor's name for the tensors beside it.
constexpr char kExpAvg[] = ".exp_avg";
constexpr char kExpAvgSq[] = ".exp_avg_sq";
constexpr char kBest[] = ".best";

absl::Status Corrupt(std::string_view file, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("file '", file, "' of the checkpoint: ", what),
                   {{"file", std::string(file)}});
}

absl::Status CorruptTensors(std::string_view what) {
  return Corrupt(kCheckpointTensorFile, what);
}

absl::Status Take(const Safetensors& tensors, const std::string& name,
                  at::Tensor& target) {
  absl::StatusOr<at::Tensor> tensor = tensors.Get(name);
  if (!tensor.ok()) return CorruptTensors(ToStd(tensor.status().message()));
  if (tensor->scalar_type() != at::kFloat || tensor->dim() < 1 ||
      !at::isfinite(*tensor).all().item<bool>()) {
    return CorruptTensors(
        Concat("tensor '", name, "' must be finite numbers in F32"));
  }
  target = *std::move(tensor);
  return absl::OkStatus();
}

absl::Status TakeTrained(const Safetensors& tensors, const std::string& name,
                         bool has_best, TrainedTensor& trained) {
  ATTUNE_RETURN_IF_ERROR(Take(tensors, name, trained.value));
  ATTUNE_RETURN_IF_ERROR(Take(tensors, name + kExpAvg, trained.exp_avg));
  ATTUNE_RETURN_IF_ERROR(Take(tensors, name + kExpAvgSq, trained.exp_avg_sq));
  if (has_best) {
    ATTUNE_RETURN_IF_ERROR(Take(tensors, name + kBest, trained.best));
  }
  for (const at::Tensor* other :
       {&trained.exp_avg, &trained.exp_avg_sq, &trained.best}) {
    if (other->defined() && other->sizes() != trained.value.sizes()) {
      return CorruptTensors(
          Concat("the tensors of '", name, "' differ in shape"));
    }
  }
  return absl::OkStatus();
}

absl::Status TakeAll(const std::string& bytes, TrainingState& state) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kCheckpointTensorFile));
  if (!tensors.ok()) return CorruptTensors(ToStd(tensors.status().message()));
  const bool has_best = state.progress.has_best();
  for (const auto& [name, entry] : tensors->entries()) {
    // Names without an ending are the trained ones.
    if (name.ends_with(kExpAvg) || name.ends_with(kExpAvgSq) ||
        name.ends_with(kBest)) {
      continue;
    }
    ATTUNE_RETURN_IF_ERROR(
        TakeTrained(*tensors, name, has_best, state.tensors[name]));
  }
  const size_t expected = state.tensors.size() * (has_best ? 4 : 3);
  if (state.tensors.empty() || tensors->entries().size() != expected) {
    return CorruptTensors(Concat("it holds ", tensors->entries().size(),
                                 " tensors instead of ", expected));
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
      progress.max_micro_batch_rows() < 0 ||
      progress.num_nonfinite_steps() > progress.step()) {
    return Corrupt(kCheckpointManifestFile,
                   "its counters contradict each other");
  }
  if (const std::optional<std::string> fault = FindSeriesFault(progress)) {
    return Corrupt(kCheckpointManifestFile, *fault);
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

TensorMap TrainingState::Values() const {
  TensorMap values;
  for (const auto& [name, trained] : tensors) values[name] = trained.value;
  return values;
}

TensorMap TrainingState::Best() const {
  TensorMap values;
  for (const auto& [name, trained] : tensors) values[name] = trained.best;
  return values;
}

TrainingState MakeInitialState(const TensorMap& initial,
                               const v1::CheckpointManifest& job) {
  TrainingState state;
  for (const auto& [name, value] : initial) {
    state.tensors[name] = {.value = value.clone(),
                           .exp_avg = at::zeros_like(value),
                           .exp_avg_sq = at::zeros_like(value),
                           .best = at::Tensor()};
  }
  state.progress = job;
  state.progress.set_format_version(kCheckpointFormatVersion);
  return state;
}

absl::StatusOr<Artifact> EncodeCheckpoint(const TrainingState& state) {
  TensorMap tensors;
  for (const auto& [name, trained] : state.tensors) {
    tensors[name] = trained.value;
    tensors[name + kExpAvg] = trained.exp_avg;
    tensors[name + kExpAvgSq] = trained.exp_avg_sq;
    if (trained.best.defined()) tensors[name + kBest] = trained.best;
  }
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
                                 const TensorMap& initial) {
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
  const auto shapes = [](const TensorMap& tensors) {
    std::string text;
    for (const auto& [name, value] : tensors) {
      text += Concat(text.empty() ? "" : ", ", name, " [",
                     absl::StrJoin(value.sizes(), " x "), "]");
    }
    return text;
  };
  const std::string kept = shapes(state.Values());
  const std::string wanted = shapes(initial);
  if (kept != wanted) return Unfit("tensors", kept, wanted);
  return absl::OkStatus();
}

}  // namespace attune::worker
