#include "worker/tuning/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "worker/models/device.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/training_series.h"

namespace attune::worker {
namespace {

using ::attune::v1::TrainingConfig;
using ::attune::v1::TuningJobSpec;
using ::attune::v1::TuningReport;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

// What goes wrong in a model.
struct Faults {
  // Training forwards and validations, both counted from 0, whose results are
  // no numbers.
  std::set<int> steps = {};
  std::set<int> validations = {};
  // Rows that a training forward has memory for.
  int64_t max_rows = std::numeric_limits<int64_t>::max();
  // What it takes its fp32 weights for.
  at::ScalarType dtype = at::kFloat;
};

// The tiny model with faults.
class FaultyModel : public CausalModel {
 public:
  explicit FaultyModel(Faults faults)
      : model_(TinyModel()->causal()), faults_(std::move(faults)) {}

  const ModelConfig& config() const override { return model_.config(); }
  at::Device device() const override { return model_.device(); }
  at::ScalarType dtype() const override { return faults_.dtype; }
  at::Tensor Embed(const at::Tensor& ids) const override {
    return model_.Embed(ids);
  }
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override {
    auto hidden = model_.Forward(rows);
    const bool trains = at::GradMode::is_enabled();
    if (trains && rows.embeddings.size(0) > faults_.max_rows) {
      return absl::InternalError("not enough memory: 9 bytes");
    }
    const bool is_bad = trains ? faults_.steps.contains(num_steps_++)
                               : faults_.validations.contains(num_others_++);
    if (is_bad) return *hidden * std::numeric_limits<double>::quiet_NaN();
    return hidden;
  }
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& rows) const override {
    return model_.BuildPrefix(rows);
  }
  at::Tensor Logits(const at::Tensor& hidden) const override {
    return model_.Logits(hidden);
  }
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& ids) const override {
    return model_.LogitsFor(hidden, ids);
  }

 private:
  const CausalModel& model_;
  const Faults faults_;
  mutable int num_steps_ = 0;
  mutable int num_others_ = 0;
};

// A trainer for texts of one digit, which even and odd are to be told apart.
class TrainerTest : public testing::Test {
 protected:
  void SetUp() override { UseModel({}); }

  void UseModel(Faults faults) {
    auto loaded = std::make_shared<LoadedModel>();
    loaded->info = TinyModel()->info;
    loaded->model = std::make_unique<FaultyModel>(std::move(faults));
    loaded->tokenizer = *Tokenizer::FromJson(TinyTokenizerJson());
    loaded->eos_token = TinyModel()->eos_token;
    loaded->stop_token_ids = TinyModel()->stop_token_ids;
    program_ = *TaskProgram::Compile(LabelTask({"a", "b"}), loaded,
                                     /*num_prompt_rows=*/4);
    std::vector<Example> examples;
    for (int i = 0; i < 10; ++i) {
      examples.push_back({.row = i + 1,
                          .fields = absl::StrCat(R"({"text": ")", i, "\"}"),
                          .answer = i % 2 == 0 ? "a" : "b"});
    }
    examples_ = *PrepareExamples(*program_, examples);
    validation_ = examples_;
  }

  void Resolve(int max_steps, int batch_size = 4) {
    spec_.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
    spec_.mutable_training()->set_max_steps(max_steps);
    spec_.mutable_training()->set_batch_size(batch_size);
    spec_ = *ResolveSpec(
        spec_,
        {.num_train_rows = 10, .context_length = 256, .embedding_rms = 0.5});
  }

  absl::StatusOr<TuningReport::StopReason> Run(const Clock& clock) {
    ProgressTracker tracker(clock, listener_);
    Trainer trainer({.program = *program_,
                     .train = examples_,
                     .validation = validation_,
                     .spec = spec_,
                     .start = InitialValues()},
                    clock, listener_, tracker);
    return trainer.Run(state_);
  }
  absl::StatusOr<TuningReport::StopReason> Run() { return Run(clock_); }

  static at::Tensor InitialPrompt() {
    return TinyModel()->model->Embed(
        at::tensor(std::vector<int64_t>{30, 31, 32, 33}));
  }
  static TensorMap InitialValues() { return {{"prompt", InitialPrompt()}}; }
  // The job of the resolved spec.
  v1::CheckpointManifest Job() const {
    v1::CheckpointManifest job;
    *job.mutable_resolved_spec() = spec_;
    return job;
  }
  const TrainedTensor& prompt() const { return state_.tensors.at("prompt"); }

  FakeClock clock_;
  RecordingListener listener_;
  TuningJobSpec spec_;
  std::unique_ptr<const TaskProgram> program_;
  std::vector<PreparedExample> examples_;
  std::vector<PreparedExample> validation_;
  TrainingState state_ =
      MakeInitialState(InitialValues(), v1::CheckpointManifest());
};

std::vector<const PreparedExample*> PointersTo(
    const std::vector<PreparedExample>& examples) {
  std::vector<const PreparedExample*> pointers;
  for (const PreparedExample& example : examples) pointers.push_back(&example);
  return pointers;
}

TEST_F(TrainerTest, ABatchInPartsHasTheSameLossAndGradient) {
  const auto batch = PointersTo(examples_);

  const BatchGradient whole = *ComputeGradient(*program_, spec_.method(),
                                               InitialValues(), batch, 10'000);
  const BatchGradient parts =
      *ComputeGradient(*program_, spec_.method(), InitialValues(), batch, 40);

  EXPECT_NEAR(parts.loss, whole.loss, 1e-5);
  EXPECT_TRUE(parts.gradients.at("prompt").allclose(
      whole.gradients.at("prompt"), 1e-4, 1e-6));
  EXPECT_GT(parts.num_rows, whole.num_rows);
}

// On CPUs that multiply bf16, products take rounded rows and their sums spread
// it; elsewhere only what the backward pass reads is rounded, by 2^-9 each.
TEST_F(TrainerTest, InBf16RowsAreRoundedBetweenThePasses) {
  const auto compute = [&] {
    return *ComputeGradient(*program_, spec_.method(), InitialValues(),
                            PointersTo(examples_), 10'000);
  };
  const BatchGradient exact = compute();

  UseModel({.dtype = at::kBFloat16});
  const BatchGradient rounded = compute();

  EXPECT_NEAR(rounded.loss, exact.loss, CpuHasBf16() ? 2e-3 : 0);
  const at::Tensor& expected = exact.gradients.at("prompt");
  const double difference =
      ((rounded.gradients.at("prompt") - expected).norm() / expected.norm())
          .item<double>();
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, CpuHasBf16() ? 0.1 : 1e-2);
}

TEST_F(TrainerTest, MicroBatchesHaveTheGradientOfOneBatch) {
  // Another order of fp32 sums.
  const auto expect_equal = [&](const BatchGradient& parts,
                                const BatchGradient& whole) {
    EXPECT_NEAR(parts.loss, whole.loss, 2e-5);
    EXPECT_TRUE(parts.gradients.at("prompt").allclose(
        whole.gradients.at("prompt"), 1e-4, 5e-6));
    EXPECT_GT(parts.num_rows, whole.num_rows);
  };
  const auto labels = PointersTo(examples_);
  // Answers of 1 to 4 tokens: the mean is over all tokens of the whole batch.
  const std::unique_ptr<const TaskProgram> generation =
      CompileTask(TextTask(8));
  std::vector<Example> texts;
  for (const char* answer : {"a", "b c", "a b c", "c"}) {
    texts.push_back({.row = static_cast<int64_t>(texts.size()) + 1,
                     .fields = R"({"text": "it is"})",
                     .answer = answer});
  }
  const std::vector<PreparedExample> answers =
      *PrepareExamples(*generation, texts);

  expect_equal(*ComputeGradient(*program_, spec_.method(), InitialValues(),
                                labels, 10'000, {.max_samples = 3}),
               *ComputeGradient(*program_, spec_.method(), InitialValues(),
                                labels, 10'000));
  expect_equal(
      *ComputeGradient(*generation, spec_.method(), InitialValues(),
                       PointersTo(answers), 10'000, {.max_samples = 1}),
      *ComputeGradient(*generation, spec_.method(), InitialValues(),
                       PointersTo(answers), 10'000));
}

TEST_F(TrainerTest, AccumulatingIsLikeALargerBatch) {
  const auto trained_with = [&](int batch_size, int accumulation) {
    spec_ = TuningJobSpec();
    spec_.mutable_training()->set_gradient_accumulation_steps(accumulation);
    // Its steps are proportional to the gradient, and so are their errors.
    spec_.mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_SGD);
    spec_.mutable_training()->mutable_learning_rate()->set_value(0.1);
    Resolve(6, batch_size);
    state_ = MakeInitialState(InitialValues(), Job());
    EXPECT_OK(Run());
    EXPECT_EQ(state_.progress.rows_taken(), 6 * 4);
    return prompt().value;
  };
  const at::Tensor whole = trained_with(4, 1);

  // fp32 sums in another order.
  EXPECT_TRUE(trained_with(2, 2).allclose(whole, 1e-4, 1e-5));
  EXPECT_TRUE(trained_with(1, 4).allclose(whole, 1e-4, 1e-5));
}

TEST_F(TrainerTest, MakesAllSteps) {
  Resolve(12);

  EXPECT_EQ(*Run(), TuningReport::STOP_REASON_MAX_STEPS);

  EXPECT_EQ(state_.progress.step(), 12);
  EXPECT_EQ(state_.progress.rows_taken(), 48);
  EXPECT_EQ(state_.progress.validated_step(), 12);
  EXPECT_GT(state_.progress.num_trained_tokens(), 0);
  EXPECT_TRUE(prompt().best.defined());
}

TEST_F(TrainerTest, TheLossFalls) {
  Resolve(60);
  const auto loss = [&] {
    return ComputeGradient(*program_, spec_.method(), state_.Values(),
                           PointersTo(examples_), 10'000)
        ->loss;
  };
  const double before = loss();

  ASSERT_OK(Run());

  EXPECT_LT(loss(), 0.8 * before);
}

TEST_F(TrainerTest, TheLossFallsWithEveryOptimiser) {
  const auto loss = [&] {
    return ComputeGradient(*program_, spec_.method(), state_.Values(),
                           PointersTo(examples_), 10'000)
        ->loss;
  };
  for (auto optimizer :
       {TrainingConfig::OPTIMIZER_SGD, TrainingConfig::OPTIMIZER_ADAFACTOR}) {
    spec_ = TuningJobSpec();
    spec_.mutable_training()->set_optimizer(optimizer);
    if (optimizer == TrainingConfig::OPTIMIZER_SGD) {
      // The default is meant for more values than these.
      spec_.mutable_training()->mutable_learning_rate()->set_value(0.2);
    }
    Resolve(60);
    state_ = MakeInitialState(InitialValues(), Job());
    const double before = loss();

    ASSERT_OK(Run());

    EXPECT_LT(loss(), 0.98 * before)
        << TrainingConfig::Optimizer_Name(optimizer);
  }
}

TEST_F(TrainerTest, GoesOnFromACheckpointBitForBit) {
  for (auto optimizer :
       {TrainingConfig::OPTIMIZER_ADAMW, TrainingConfig::OPTIMIZER_SGD,
        TrainingConfig::OPTIMIZER_ADAFACTOR}) {
    spec_ = TuningJobSpec();
    TrainingConfig& training = *spec_.mutable_training();
    training.set_optimizer(optimizer);
    training.set_learning_rate_schedule(
        TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
    training.set_plateau_patience(1);
    training.mutable_early_stopping()->set_min_delta(100);
    training.set_validation_interval_steps(3);
    training.set_checkpoint_interval_steps(7);
    training.set_gradient_accumulation_steps(2);
    training.set_label_smoothing(0.1);
    training.set_group_by_length(true);
    training.set_weight_decay(0.01);
    training.mutable_ema_decay()->set_value(0.8);
    Resolve(20);
    listener_.checkpoints.clear();
    state_ = MakeInitialState(InitialValues(), Job());
    ASSERT_OK(Run());
    const TrainingState whole = state_;
    ASSERT_EQ(listener_.checkpoints.size(), 3u);
    ASSERT_EQ(listener_.checkpoints[0].first, 7);

    state_ = *DecodeCheckpoint(listener_.checkpoints[0].second);
    ASSERT_EQ(state_.progress.step(), 7);
    ASSERT_OK(Run());

    EXPECT_TRUE(prompt().value.equal(whole.tensors.at("prompt").value));
    EXPECT_TRUE(prompt().mean.equal(whole.tensors.at("prompt").mean));
    EXPECT_TRUE(prompt().best.equal(whole.tensors.at("prompt").best));
    for (const auto& [slot, tensor] : prompt().slots) {
      EXPECT_TRUE(tensor.equal(whole.tensors.at("prompt").slots.at(slot)))
          << slot;
    }
    // All validations but the first are a plateau.
    EXPECT_EQ(whole.progress.plateau().num_reductions(), 6);
    EXPECT_EQ(state_.progress.plateau().num_reductions(), 6);
  }
}

TEST_F(TrainerTest, APlateauLowersTheLearningRate) {
  TrainingConfig& training = *spec_.mutable_training();
  training.set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  training.set_plateau_patience(2);
  training.mutable_early_stopping()->set_min_delta(100);
  training.mutable_learning_rate()->set_value(0.01);
  training.mutable_warmup_steps()->set_value(0);
  training.set_validation_interval_steps(2);
  Resolve(12);
  FakeClock clock;
  ProgressTracker tracker(clock, listener_);
  Trainer trainer({.program = *program_,
                   .train = examples_,
                   .validation = validation_,
                   .spec = spec_},
                  clock, listener_, tracker);

  ASSERT_OK(trainer.Run(state_));

  // The first of 6 validations is an improvement, the others lower it twice;
  // the last of them comes after the last step.
  EXPECT_EQ(state_.progress.plateau().num_reductions(), 2);
  EXPECT_DOUBLE_EQ(tracker.progress().learning_rate(), 0.01 * 0.25);
}

TEST_F(TrainerTest, EpochsEndTraining) {
  spec_.mutable_training()->set_max_epochs(2);
  Resolve(100);

  EXPECT_EQ(*Run(), TuningReport::STOP_REASON_MAX_STEPS);

  // 10 rows, 4 a step.
  EXPECT_EQ(state_.progress.step(), 5);
}

TEST_F(TrainerTest, KeepsTheBestPromptAndNotTheLast) {
  spec_.mutable_evaluation()->set_metric("loss");
  // What is learnt is wrong for the validation, so it gets worse.
  for (PreparedExample& one : validation_) one.label = 1 - one.label;
  Resolve(40);

  ASSERT_OK(Run());

  EXPECT_LT(state_.progress.best_step(), 40);
  EXPECT_FALSE(prompt().best.equal(prompt().value));
}

TEST_F(TrainerTest, MeasuresAndKeepsTheRunningMeanOfTheValues) {
  spec_.mutable_training()->mutable_ema_decay()->set_value(0.4);
  spec_.mutable_training()->set_checkpoint_interval_steps(1);
  spec_.mutable_evaluation()->set_metric("loss");
  Resolve(12);
  state_ = MakeInitialState(InitialValues(), Job());

  ASSERT_OK(Run());

  // The plain reference, from the values after each step.
  ASSERT_EQ(listener_.checkpoints.size(), 12u);
  at::Tensor mean = InitialPrompt();
  for (int i = 0; i < 12; ++i) {
    const double kept = std::min(0.4, (i + 1) / (i + 5.0));
    const at::Tensor value = DecodeCheckpoint(listener_.checkpoints[i].second)
                                 ->Values()
                                 .at("prompt");
    mean = kept * mean + (1 - kept) * value;
  }
  // Another order of the same sums, in fp32.
  EXPECT_LT((prompt().mean - mean).abs().max().item<double>(), 1e-6);
  EXPECT_FALSE(prompt().mean.equal(prompt().value));
  // The loss falls all the time, so the newest mean is the best.
  EXPECT_EQ(state_.progress.best_step(), 12);
  EXPECT_TRUE(prompt().best.equal(prompt().mean));
}

TEST_F(TrainerTest, TheRunningMeanLeavesTheStepsAsTheyAre) {
  Resolve(12);
  spec_.mutable_training()->mutable_ema_decay()->set_value(0);
  state_ = MakeInitialState(InitialValues(), Job());
  ASSERT_OK(Run());
  const at::Tensor without = prompt().value;
  EXPECT_FALSE(prompt().mean.defined());
  EXPECT_TRUE(prompt().best.defined());

  spec_.mutable_training()->mutable_ema_decay()->set_value(0.9);
  state_ = MakeInitialState(InitialValues(), Job());
  ASSERT_OK(Run());

  EXPECT_TRUE(prompt().value.equal(without));
}

TEST_F(TrainerTest, LeavesOutAStepThatIsNotFinite) {
  UseModel({.steps = {2, 5}});
  Resolve(10);

  ASSERT_OK(Run());

  EXPECT_EQ(state_.progress.num_nonfinite_steps(), 2);
  EXPECT_EQ(state_.progress.step(), 10);
  ASSERT_EQ(listener_.notices.size(), 2u);
  EXPECT_THAT(listener_.notices[0], HasSubstr("step 3 was left out"));
}

TEST_F(TrainerTest, AStepThatIsNotFiniteChangesNothing) {
  UseModel({.steps = {0}});
  Resolve(1);

  ASSERT_OK(Run());

  EXPECT_TRUE(prompt().value.equal(InitialPrompt()));
}

TEST_F(TrainerTest, FailsAfterThreeInARow) {
  UseModel({.steps = {1, 2, 4, 5, 6, 7}});
  Resolve(10);

  EXPECT_THAT(
      Run(),
      ReasonIs(Reason::kNonfiniteLoss,
               AllOf(HasSubstr("up to step 7 (its loss is nan, its gradient's "
                               "norm nan): lower training.learning_rate"),
                     HasSubstr("3 steps in a row"))));
}

TEST_F(TrainerTest, StoresNoCheckpointAmongStepsThatWereLeftOut) {
  UseModel({.steps = {1, 2}});
  spec_.mutable_training()->set_checkpoint_interval_steps(1);
  Resolve(5);

  ASSERT_OK(Run());

  std::vector<int> steps;
  for (const auto& [step, artifact] : listener_.checkpoints) {
    steps.push_back(step);
  }
  EXPECT_EQ(steps, (std::vector<int>{1, 4, 5}));
}

TEST_F(TrainerTest, AValidationThatIsNotFiniteIsNeverTheBest) {
  for (const char* metric : {"loss", "accuracy"}) {
    UseModel({.validations = {0, 2}});
    spec_ = TuningJobSpec();
    spec_.mutable_evaluation()->set_metric(metric);
    spec_.mutable_training()->set_validation_interval_steps(5);
    Resolve(15);
    state_ = MakeInitialState(InitialValues(), v1::CheckpointManifest());

    ASSERT_OK(Run());

    EXPECT_EQ(state_.progress.best_step(), 10) << metric;
    EXPECT_TRUE(std::isfinite(state_.progress.best_loss())) << metric;
    EXPECT_EQ(state_.progress.validations_without_improvement(), 1) << metric;
    EXPECT_THAT(listener_.notices, Contains(HasSubstr("after step 5")));
  }
}

TEST_F(TrainerTest, FailsWhereNoValidationIsFinite) {
  UseModel({.validations = {0, 1}});
  spec_.mutable_training()->set_validation_interval_steps(5);
  Resolve(10);

  EXPECT_THAT(Run(), ReasonIs(Reason::kNonfiniteLoss,
                              HasSubstr("training.learning_rate")));
}

TEST_F(TrainerTest, MemoryThatDoesNotSufficeIsNamed) {
  UseModel({.max_rows = 0});
  Resolve(5);

  EXPECT_THAT(
      Run(), ReasonIs(Reason::kOutOfMemory,
                      AllOf(HasSubstr("step 1"), HasSubstr("virtual tokens"))));
  EXPECT_EQ(state_.progress.step(), 0);
}

TEST_F(TrainerTest, ABatchBeyondTheMemoryIsRunInPartsWithTheSameResult) {
  Resolve(6);
  ASSERT_OK(Run());
  const at::Tensor whole = prompt().value;

  // Less than the four samples of a batch have, more than one has.
  std::vector<const PreparedExample*> one = {&examples_[0]};
  const int64_t rows_of_one =
      ComputeGradient(*program_, spec_.method(), InitialValues(), one, 10'000)
          ->num_rows;
  UseModel({.max_rows = 2 * rows_of_one});
  state_ = MakeInitialState(InitialValues(), v1::CheckpointManifest());

  ASSERT_OK(Run());

  // Adam divides by the gradient's size, so another order of sums may turn the
  // way of a number whose gradient is nearly zero, but of few.
  const double way = (whole - InitialPrompt()).norm().item<double>();
  EXPECT_LT((prompt().value - whole).norm().item<double>(), 0.02 * way);
  EXPECT_EQ(state_.progress.num_nonfinite_steps(), 0);
  EXPECT_GT(state_.progress.max_micro_batch_rows(), 0);
  EXPECT_LE(state_.progress.max_micro_batch_rows(), 2 * rows_of_one);
  EXPECT_THAT(listener_.notices,
              Contains(AllOf(HasSubstr("step 1"),
                             HasSubstr("memory did not suffice"))));
}

TEST_F(TrainerTest, AResumedTrainingKeepsTheSmallerParts) {
  Resolve(10);
  const std::vector<const PreparedExample*> one = {&examples_[0]};
  const int64_t rows_of_one =
      ComputeGradient(*program_, spec_.method(), InitialValues(), one, 10'000)
          ->num_rows;
  UseModel({.max_rows = 2 * rows_of_one});
  ASSERT_OK(Run());
  const TrainingState whole = state_;
  state_ = MakeInitialState(InitialValues(), v1::CheckpointManifest());
  listener_.stop_phase = attune::v1::TuningProgress::PHASE_TRAINING;
  listener_.stop_step = 4;
  ASSERT_THAT(Run(), ReasonIs(Reason::kCancelled, HasSubstr("4 steps")));
  state_ = *DecodeCheckpoint(listener_.checkpoints.back().second);
  listener_ = RecordingListener();
  // There is memory for everything again, but that would be other sums.
  UseModel({});

  ASSERT_OK(Run());

  EXPECT_TRUE(prompt().value.equal(whole.tensors.at("prompt").value));
  EXPECT_EQ(state_.progress.max_micro_batch_rows(),
            whole.progress.max_micro_batch_rows());
  EXPECT_TRUE(listener_.notices.empty());
}

TEST_F(TrainerTest, KeepsTheCourseOfTraining) {
  UseModel({.steps = {2}});
  spec_.mutable_training()->set_validation_interval_steps(5);
  Resolve(10);

  ASSERT_OK(Run());

  std::map<std::string, attune::v1::TrainingSeries> series;
  for (const auto& one : SeriesOf(state_.progress)) series[one.name()] = one;
  EXPECT_EQ(series["loss"].steps_size(), 9);  // step 3 had none
  EXPECT_EQ(series["learning_rate"].steps_size(), 10);
  EXPECT_EQ(series["validation_accuracy"].steps_size(), 2);
  EXPECT_EQ(series["validation_accuracy"].steps(0), 5);
  EXPECT_EQ(series["validation_loss"].steps(1), 10);
  EXPECT_GT(series["prompt_norm"].values(0), 0);
  const double norm = (prompt().value - InitialPrompt()).norm().item<double>();
  EXPECT_NEAR(series["prompt_drift"].values(9), norm, 1e-5);
  EXPECT_EQ(listener_.reports.back().prompt_drift(),
            series["prompt_drift"].values(9));
}

TEST_F(TrainerTest, StopsEarlyWithoutImprovement) {
  spec_.mutable_training()->mutable_early_stopping()->set_patience(2);
  spec_.mutable_training()->set_validation_interval_steps(5);
  spec_.mutable_training()->mutable_learning_rate()->set_value(1e-9);
  Resolve(100);

  EXPECT_EQ(*Run(), TuningReport::STOP_REASON_EARLY_STOPPING);

  // The first validation is an improvement, the two after it are none.
  EXPECT_EQ(state_.progress.step(), 15);
  EXPECT_EQ(state_.progress.validations_without_improvement(), 2);
}

TEST_F(TrainerTest, AnImprovementBelowMinDeltaDoesNotCount) {
  spec_.mutable_evaluation()->set_metric("loss");
  spec_.mutable_training()->mutable_early_stopping()->set_patience(2);
  spec_.mutable_training()->mutable_early_stopping()->set_min_delta(100);
  spec_.mutable_training()->set_validation_interval_steps(5);
  Resolve(100);

  EXPECT_EQ(*Run(), TuningReport::STOP_REASON_EARLY_STOPPING);
  EXPECT_EQ(state_.progress.step(), 15);
}

// Moves by a second whenever it is read.
class RunningClock : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch(); }
  absl::Duration Monotonic() const override {
    return absl::Seconds(++seconds_);
  }

 private:
  mutable int seconds_ = 0;
};

TEST_F(TrainerTest, StopsWhenItsTimeIsUp) {
  spec_.mutable_training()->mutable_max_duration()->set_seconds(7);
  Resolve(100);

  EXPECT_EQ(*Run(RunningClock()), TuningReport::STOP_REASON_MAX_DURATION);

  // Each step takes one second of this clock.
  EXPECT_EQ(state_.progress.step(), 7);
  EXPECT_DOUBLE_EQ(state_.progress.training_seconds(), 7);
  EXPECT_EQ(state_.progress.validated_step(), 7);
}

TEST_F(TrainerTest, HandsOverCheckpointsEveryThirtySeconds) {
  spec_.mutable_training()->set_checkpoint_interval_steps(100);
  Resolve(100);

  ASSERT_OK(Run(RunningClock()));

  EXPECT_GT(listener_.checkpoints.size(), 3u);
}

TEST_F(TrainerTest, StopsBetweenStepsWithACheckpoint) {
  Resolve(100);
  listener_.stop_phase = attune::v1::TuningProgress::PHASE_TRAINING;
  listener_.stop_step = 7;

  EXPECT_THAT(Run(), ReasonIs(Reason::kCancelled, HasSubstr("7 steps")));

  ASSERT_EQ(listener_.checkpoints.size(), 1u);
  EXPECT_EQ(listener_.checkpoints[0].first, 7);
}

TEST_F(TrainerTest, StopsInAValidationWithACheckpointThatRepeatsIt) {
  spec_.mutable_training()->set_validation_interval_steps(5);
  Resolve(100);
  listener_.stop_phase = attune::v1::TuningProgress::PHASE_VALIDATING;
  listener_.stop_step = 10;

  EXPECT_THAT(Run(), ReasonIs(Reason::kCancelled, HasSubstr("validation")));

  ASSERT_FALSE(listener_.checkpoints.empty());
  const TrainingState stored =
      *DecodeCheckpoint(listener_.checkpoints.back().second);
  EXPECT_EQ(stored.progress.step(), 10);
  EXPECT_EQ(stored.progress.validated_step(), 5);
}

}  // namespace
}  // namespace attune::worker
