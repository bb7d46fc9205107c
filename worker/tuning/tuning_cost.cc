#include "worker/tuning/tuning_cost.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "google/protobuf/util/time_util.h"
#include "proto/cc/status_macros.h"
#include "worker/tasks/pass_size.h"
#include "worker/tuning/batch_rows.h"
#include "worker/tuning/checkpoint.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/micro_batches.h"
#include "worker/tuning/optimizer.h"
#include "worker/tuning/progress_tracker.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/trainer.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;
using attune::v1::TrainingConfig;
using attune::v1::TuningCost;
using attune::v1::TuningMethod;

// More than a usual step has; a larger one would take minutes.
constexpr int64_t kMaxTimedTokens = 8'192;

// Takes its turns for the step, and has nobody to tell.
class StepListener final : public AttemptListener {
 public:
  explicit StepListener(const std::function<void()>& before_step)
      : before_step_(before_step) {}

  void OnResolvedSpec(const attune::v1::TuningJobSpec&) override {}
  void OnProgress(const attune::v1::TuningProgress&) override {}
  void OnNotice(std::string) override {}
  void OnCheckpoint(Artifact, int) override {}
  bool StopRequested() override { return false; }
  void BeforeStep() override {
    if (before_step_) before_step_();
  }

 private:
  const std::function<void()>& before_step_;
};

// Tuning: PromptTuning or PrefixTuning.
template <typename Tuning>
void BeginAnywhere(Tuning& tuning) {
  tuning.clear_init_version();
  tuning.set_initialisation(PromptTuning::INITIALISATION_SAMPLED_VOCABULARY);
}

// The method without a version to start from.
TuningMethod WithoutVersion(const TuningMethod& method) {
  TuningMethod plain = method;
  if (InitVersionOf(method).empty()) return plain;
  if (plain.has_prefix_tuning()) {
    BeginAnywhere(*plain.mutable_prefix_tuning());
  } else {
    BeginAnywhere(*plain.mutable_prompt_tuning());
  }
  return plain;
}

int64_t NumNumbers(const TensorMap& values) {
  int64_t count = 0;
  for (const auto& [name, value] : values) count += value.numel();
  return count;
}

int64_t NumBytes(const TensorMap& values) {
  int64_t bytes = 0;
  for (const auto& [name, value] : values) {
    bytes += value.numel() * static_cast<int64_t>(value.element_size());
  }
  return bytes;
}

// Of what is trained, with all that stands beside it.
int64_t StateBytes(const TrainingConfig& training, const TensorMap& values) {
  const std::unique_ptr<const Optimizer> optimizer = MakeOptimizer(training);
  int64_t bytes = 3 * NumBytes(values);  // value, gradient and the best
  for (const auto& [name, value] : values) {
    bytes += NumBytes(optimizer->MakeSlots(value));
  }
  return bytes;
}

int64_t NumTokens(const PreparedExample& row) {
  return row.input.num_tokens() + static_cast<int64_t>(row.answer_ids.size());
}

// A row as training takes it: the windows of a long context one by one.
std::vector<PreparedExample> PartsOf(const PreparedExample& row) {
  if (row.input.context.windows.size() > 1) return SplitWindows(row);
  return {row};
}

// Rows of one optimiser step.
int64_t StepRows(const TrainingConfig& training) {
  return int64_t{training.batch_size()} *
         training.gradient_accumulation_steps();
}

LossOptions LossOptionsOf(const PreparedJob& job) {
  return {.label_smoothing = job.spec.training().label_smoothing(),
          .share_beginnings = job.spec.method().lora().dropout() == 0};
}

// The most tokens that go through the model in all steps: every pass over the
// rows has all of their tokens, and what remains has the longest.
int64_t MostTokens(const PreparedJob& job, const TensorMap& values) {
  const TrainingConfig& training = job.spec.training();
  LossOptions options = LossOptionsOf(job);
  options.share_beginnings = false;
  std::vector<int64_t> sizes;
  sizes.reserve(job.train.size());
  int64_t total = 0;
  int64_t shared = 0;  // once a step
  for (const PreparedExample& row : job.train) {
    int64_t size = 0;
    for (const PreparedExample& part : PartsOf(row)) {
      const PreparedExample* const one = &part;
      const BatchRows rows =
          CountBatchRows(*job.program, values, {&one, 1}, options);
      size += rows.samples[0];
      shared = rows.shared;
    }
    sizes.push_back(size);
    total += size;
  }
  std::sort(sizes.rbegin(), sizes.rend());
  const int64_t taken = training.max_steps() * StepRows(training);
  const int64_t num_rows = static_cast<int64_t>(sizes.size());
  int64_t tokens = taken / num_rows * total;
  for (int64_t i = 0; i < taken % num_rows; ++i) tokens += sizes[i];
  return tokens + training.max_steps() * shared;
}

// The longest rows, as many as go through the model at once; fewer where there
// are not as many.
std::vector<PreparedExample> LongestRows(const PreparedJob& job) {
  std::vector<const PreparedExample*> rows;
  rows.reserve(job.train.size());
  for (const PreparedExample& row : job.train) rows.push_back(&row);
  const size_t count = std::min<size_t>(
      rows.size(), static_cast<size_t>(job.spec.training().batch_size()));
  std::partial_sort(rows.begin(), rows.begin() + static_cast<int64_t>(count),
                    rows.end(), [](const auto* a, const auto* b) {
                      return NumTokens(*a) > NumTokens(*b);
                    });
  std::vector<PreparedExample> longest;
  longest.reserve(count);
  for (size_t i = 0; i < count; ++i) longest.push_back(*rows[i]);
  return longest;
}

int64_t ActivationBytes(const PreparedJob& job, const TensorMap& values,
                        const std::vector<PreparedExample>& rows) {
  const TrainingConfig& training = job.spec.training();
  std::deque<PreparedExample> parts;
  std::vector<const PreparedExample*> batch;
  batch.reserve(rows.size());
  for (const PreparedExample& row : rows) {
    for (PreparedExample& part : PartsOf(row)) {
      batch.push_back(&parts.emplace_back(std::move(part)));
    }
  }
  BatchRows counted =
      CountBatchRows(*job.program, values, batch, LossOptionsOf(job));
  counted.max_samples = static_cast<size_t>(training.batch_size());
  const ModelConfig& config = job.model->info.config;
  return LargestPart(counted, MaxTrainingRows(config, kActivationBytes)) *
         TrainingRowBytes(config);
}

// As many of `rows` as are timed, at least one.
std::vector<PreparedExample> RowsToTime(std::vector<PreparedExample> rows) {
  const size_t count =
      PassSize(absl::MakeConstSpan(rows), kMaxTimedTokens, NumTokens);
  rows.resize(count);
  return rows;
}

int64_t SumOfTokens(const std::vector<PreparedExample>& rows) {
  int64_t tokens = 0;
  for (const PreparedExample& row : rows) tokens += NumTokens(row);
  return tokens;
}

// How long a step with `rows` takes, in seconds. The spec is resolved.
absl::StatusOr<double> TimeStep(const PreparedJob& job,
                                attune::v1::TuningJobSpec spec,
                                const TensorMap& values,
                                const std::vector<PreparedExample>& rows,
                                const Clock& clock,
                                const std::function<void()>& before_step) {
  spec.mutable_training()->set_batch_size(static_cast<int>(rows.size()));
  spec.mutable_training()->set_gradient_accumulation_steps(1);
  StepListener listener(before_step);
  ProgressTracker tracker(clock, listener);
  Trainer trainer({.program = *job.program,
                   .train = rows,
                   .validation = {},
                   .spec = spec,
                   .start = values},
                  clock, listener, tracker);
  v1::CheckpointManifest manifest;
  *manifest.mutable_resolved_spec() = spec;
  TrainingState state = MakeInitialState(values, manifest);
  listener.BeforeStep();
  ATTUNE_RETURN_IF_ERROR(trainer.Step(state));
  return state.progress.training_seconds();
}

}  // namespace

absl::StatusOr<TuningCost> MeasureTuningCost(
    const PreparedJob& job, const Clock& clock,
    const std::function<void()>& before_step) {
  TuningCost cost;
  attune::v1::TuningJobSpec spec = job.spec;
  *spec.mutable_method() = WithoutVersion(job.spec.method());
  const TrainingConfig& training = spec.training();
  ATTUNE_ASSIGN_OR_RETURN(
      TensorMap front, MakeInitialFront(spec.method(), *job.program, job.train,
                                        job.embedding_rms, training.seed(),
                                        /*version=*/nullptr));
  const TensorMap values = MakeInitialValues(*job.program, std::move(front));
  if (values.empty() || job.train.empty()) return cost;
  cost.set_num_trained_parameters(NumNumbers(values));
  cost.set_artifact_bytes(NumBytes(FoldValues(spec.method(), values)));
  cost.set_max_steps(training.max_steps());
  cost.set_num_training_tokens(MostTokens(job, values));
  const std::vector<PreparedExample> longest = LongestRows(job);
  cost.set_training_memory_bytes(StateBytes(training, values) +
                                 ActivationBytes(job, values, longest));
  const std::vector<PreparedExample> timed = RowsToTime(longest);
  ATTUNE_ASSIGN_OR_RETURN(
      const double seconds,
      TimeStep(job, spec, values, timed, clock, before_step));
  // Rows that were not timed take as long as those that were, token by token.
  const double tokens_per_row = static_cast<double>(SumOfTokens(longest)) /
                                static_cast<double>(longest.size());
  double most = seconds * training.max_steps() *
                static_cast<double>(StepRows(training)) * tokens_per_row /
                static_cast<double>(SumOfTokens(timed));
  if (training.has_max_duration()) {
    most = std::min(
        most, static_cast<double>(
                  google::protobuf::util::TimeUtil::DurationToMilliseconds(
                      training.max_duration())) /
                  1000.0);
  }
  cost.set_training_seconds(most);
  return cost;
}

}  // namespace attune::worker
