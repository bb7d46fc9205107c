#include "worker/tuning/checkpoint.h"

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/prompts/stable_json.h"
#include "worker/tuning/optimizer.h"
#include "worker/tuning/running_mean.h"
#include "worker/tuning/training_series.h"
#include "worker/tuning/validation_history.h"

namespace attune::worker {
namespace {

// What stands before a trained tensor's name in the file: "value/prompt",
// "mean/prompt", "best/prompt", and with the slot's name "slot/exp_avg/prompt".
constexpr std::string_view kValuePrefix = "value/";
constexpr std::string_view kMeanPrefix = "mean/";
constexpr std::string_view kBestPrefix = "best/";
constexpr std::string_view kSlotPrefix = "slot/";

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
  absl::StatusOr<at::Tensor> tensor = tensors.GetFinite(name);
  if (!tensor.ok()) return CorruptTensors(ToStd(tensor.status().message()));
  target = *std::move(tensor);
  return absl::OkStatus();
}

// Reads the tensor `name` of the file, which has to have the shape of `like`.
absl::Status TakeLike(const Safetensors& tensors, const std::string& name,
                      const at::Tensor& like, at::Tensor& target) {
  ATTUNE_RETURN_IF_ERROR(Take(tensors, name, target));
  if (target.sizes() == like.sizes()) return absl::OkStatus();
  return CorruptTensors(Concat("tensor '", name, "' has the shape [",
                               absl::StrJoin(target.sizes(), " x "), "], not [",
                               absl::StrJoin(like.sizes(), " x "), "]"));
}

// Which tensors a checkpoint has beside values and slots.
struct Extras {
  bool mean = false;
  bool best = false;
};

absl::Status TakeTrained(const Safetensors& tensors, const std::string& name,
                         Extras extras, const Optimizer& optimizer,
                         TrainedTensor& trained) {
  ATTUNE_RETURN_IF_ERROR(
      Take(tensors, Concat(kValuePrefix, name), trained.value));
  trained.slots = optimizer.MakeSlots(trained.value);
  for (auto& [slot, tensor] : trained.slots) {
    const at::Tensor expected = tensor;
    ATTUNE_RETURN_IF_ERROR(TakeLike(
        tensors, Concat(kSlotPrefix, slot, "/", name), expected, tensor));
  }
  if (extras.mean) {
    ATTUNE_RETURN_IF_ERROR(TakeLike(tensors, Concat(kMeanPrefix, name),
                                    trained.value, trained.mean));
  }
  if (!extras.best) return absl::OkStatus();
  return TakeLike(tensors, Concat(kBestPrefix, name), trained.value,
                  trained.best);
}

absl::Status TakeAll(const std::string& bytes, TrainingState& state) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kCheckpointTensorFile));
  if (!tensors.ok()) return CorruptTensors(ToStd(tensors.status().message()));
  const auto& training = state.progress.resolved_spec().training();
  const Extras extras = {.mean = HasRunningMean(training),
                         .best = state.progress.has_best()};
  const std::unique_ptr<const Optimizer> optimizer = MakeOptimizer(training);
  size_t expected = 0;
  for (const auto& [full_name, entry] : tensors->entries()) {
    if (!full_name.starts_with(kValuePrefix)) continue;
    const std::string name = full_name.substr(kValuePrefix.size());
    TrainedTensor& trained = state.tensors[name];
    ATTUNE_RETURN_IF_ERROR(
        TakeTrained(*tensors, name, extras, *optimizer, trained));
    expected += 1 + trained.slots.size() + (extras.mean ? 1 : 0) +
                (extras.best ? 1 : 0);
  }
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
      progress.num_nonfinite_steps() > progress.step() ||
      progress.plateau().num_reductions() < 0 ||
      progress.plateau().num_reductions() > progress.step() ||
      progress.plateau().validations_without_improvement() < 0 ||
      progress.plateau().validations_without_improvement() > progress.step()) {
    return Corrupt(kCheckpointManifestFile,
                   "its counters contradict each other");
  }
  if (!std::isfinite(progress.plateau().best_metric())) {
    return Corrupt(kCheckpointManifestFile,
                   "plateau.best_metric is not finite");
  }
  if (const std::optional<std::string> fault = FindSeriesFault(progress)) {
    return Corrupt(kCheckpointManifestFile, *fault);
  }
  if (!ValidationsAreSound(progress)) {
    return Corrupt(kCheckpointManifestFile,
                   "its validations contradict its steps");
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

TensorMap TrainingState::Measured() const {
  TensorMap values;
  for (const auto& [name, trained] : tensors) {
    values[name] = trained.Measured();
  }
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
  const auto& training = job.resolved_spec().training();
  const std::unique_ptr<const Optimizer> optimizer = MakeOptimizer(training);
  for (const auto& [name, value] : initial) {
    state.tensors[name] = {
        .value = value.clone(),
        .slots = optimizer->MakeSlots(value),
        .mean = HasRunningMean(training) ? value.clone() : at::Tensor(),
        .best = at::Tensor()};
  }
  state.progress = job;
  state.progress.set_format_version(kCheckpointFormatVersion);
  return state;
}

absl::StatusOr<Artifact> EncodeCheckpoint(const TrainingState& state) {
  TensorMap tensors;
  for (const auto& [name, trained] : state.tensors) {
    tensors[Concat(kValuePrefix, name)] = trained.value;
    for (const auto& [slot, tensor] : trained.slots) {
      tensors[Concat(kSlotPrefix, slot, "/", name)] = tensor;
    }
    if (trained.mean.defined()) {
      tensors[Concat(kMeanPrefix, name)] = trained.mean;
    }
    if (trained.best.defined()) {
      tensors[Concat(kBestPrefix, name)] = trained.best;
    }
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
