// What the trainer does to a prompt or a prefix, step by step, against Hugging
// Face PEFT on the same model, rows and order.

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status_macros.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/golden_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "worker/tuning/data_order.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/trainer.h"
#include "worker/tuning/training_series.h"

namespace attune::worker {
namespace {

using ::attune::v1::TrainingConfig;
using ::attune::v1::TrainingSeries;
using ::attune::v1::TuningJobSpec;

// tests/golden/make_trainer_curve_golden.py says what is in it.
constexpr char kTrainerCurve[] = "tests/golden/trainer_curve.json";

// Both sides are fp32 and sum in other orders, some 1e-6 at losses of 3 to 7.
// AdamW divides by the gradient's size, so where a gradient is nearly zero that
// may turn an element's way; the loss hardly depends on such elements.
constexpr double kMaxFirstLossDifference = 2e-5;
constexpr double kMaxCurveDifference = 1e-3;
constexpr double kMaxNormDifference = 1e-2;  // relative
constexpr double kMaxWayDifference = 1e-2;  // relative to the way that was made

TensorMap TensorsOf(const nlohmann::json& golden) {
  TensorMap tensors;
  for (const auto& [name, tensor] : golden.items()) {
    tensors[name] = at::tensor(tensor["values"].get<std::vector<float>>())
                        .view(tensor["shape"].get<std::vector<int64_t>>())
                        .clone();
  }
  return tensors;
}

PreparedExample GoldenExample(const nlohmann::json& example) {
  return ExampleOfIds(example["text"].get<std::vector<int64_t>>(),
                      example["answer"].get<std::vector<int64_t>>());
}

TuningJobSpec SpecOf(const nlohmann::json& golden, const nlohmann::json& one) {
  const nlohmann::json& settings = golden["training"];
  TuningJobSpec spec;
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  spec.mutable_evaluation()->set_metric("loss");
  const auto virtual_tokens =
      static_cast<int>(one["method"] == "prompt_tuning"
                           ? one["begin"]["prompt"]["shape"][0]
                           : one["begin"]["prefix.keys"]["shape"][2]);
  if (one["method"] == "prompt_tuning") {
    spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(
        virtual_tokens);
  } else {
    spec.mutable_method()->mutable_prefix_tuning()->set_num_virtual_tokens(
        virtual_tokens);
  }
  TrainingConfig& training = *spec.mutable_training();
  const int steps = settings["steps"];
  training.set_max_steps(steps);
  training.set_batch_size(settings["batch"]);
  training.set_validation_interval_steps(steps);
  training.set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR);
  training.mutable_warmup_steps()->set_value(settings["warmup"]);
  training.mutable_learning_rate()->set_value(settings["learning_rate"]);
  training.set_weight_decay(settings["weight_decay"]);
  training.mutable_adam_beta1()->set_value(settings["beta1"]);
  training.mutable_adam_beta2()->set_value(settings["beta2"]);
  training.mutable_adam_epsilon()->set_value(settings["epsilon"]);
  training.mutable_max_grad_norm()->set_value(one["max_grad_norm"]);
  return spec;
}

// The golden rows, laid out so that a trainer, which shuffles, takes them in
// the golden order: one row for each that is taken.
std::vector<PreparedExample> LayOut(const nlohmann::json& golden,
                                    uint64_t seed) {
  const nlohmann::json& order = golden["order"];
  const std::vector<size_t> places =
      DataOrder(static_cast<int64_t>(order.size()), seed)
          .Take(0, static_cast<int64_t>(order.size()));
  std::vector<PreparedExample> rows(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    rows[places[i]] = GoldenExample(golden["examples"][order[i].get<size_t>()]);
  }
  return rows;
}

// What a training made of the initial values.
struct Course {
  std::map<std::string, TrainingSeries> series;
  TensorMap end;
};

absl::StatusOr<Course> TrainCase(const nlohmann::json& golden,
                                 const nlohmann::json& one) {
  ATTUNE_ASSIGN_OR_RETURN(const auto model, LoadGoldenModel(one["model"]));
  ATTUNE_ASSIGN_OR_RETURN(
      const TuningJobSpec spec,
      ResolveSpec(SpecOf(golden, one),
                  {.num_train_rows = 400,
                   .context_length = model->info.config.context_length,
                   .embedding_rms = 0.5,
                   .num_layers = model->info.config.NumCachedLayers()}));
  ATTUNE_ASSIGN_OR_RETURN(
      const auto program,
      TaskProgram::Compile(TextTask(/*max_new_tokens=*/4), model,
                           NumVirtualTokens(spec.method())));
  const std::vector<PreparedExample> rows =
      LayOut(golden, spec.training().seed());
  const std::vector<PreparedExample> validation(rows.begin(), rows.begin() + 4);
  const FakeClock clock;
  RecordingListener listener;
  ProgressTracker tracker(clock, listener);
  Trainer trainer({.program = *program,
                   .train = rows,
                   .validation = validation,
                   .spec = spec},
                  clock, listener, tracker);
  v1::CheckpointManifest job;
  *job.mutable_resolved_spec() = spec;
  TrainingState state = MakeInitialState(TensorsOf(one["begin"]), job);
  ATTUNE_RETURN_IF_ERROR(trainer.Run(state).status());
  Course course;
  for (const TrainingSeries& series : SeriesOf(state.progress)) {
    course.series[series.name()] = series;
  }
  course.end = state.Values();
  return course;
}

TEST(TrainerCurve, IsPefts) {
  std::ifstream file(kTrainerCurve);
  ASSERT_TRUE(file.is_open());
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden["cases"].size(), 5u);
  for (const nlohmann::json& one : golden["cases"]) {
    SCOPED_TRACE(absl::StrCat(one["model"].get<std::string>(), " ",
                              one["method"].get<std::string>()));

    const absl::StatusOr<Course> course = TrainCase(golden, one);

    ASSERT_OK(course);
    const TrainingSeries& losses = course->series.at("loss");
    const TrainingSeries& norms = course->series.at("grad_norm");
    ASSERT_EQ(losses.values_size(), 50);
    ASSERT_EQ(norms.values_size(), 50);
    double largest = 0;
    for (int step = 0; step < 50; ++step) {
      const double difference =
          std::abs(losses.values(step) - one["losses"][step].get<double>());
      largest = std::max(largest, difference);
      EXPECT_LT(difference,
                step == 0 ? kMaxFirstLossDifference : kMaxCurveDifference)
          << "step " << step + 1;
      const double norm = one["grad_norms"][step];
      EXPECT_NEAR(norms.values(step), norm, kMaxNormDifference * norm)
          << "step " << step + 1;
    }
    RecordProperty(absl::StrCat(one["model"].get<std::string>(), "_",
                                one["method"].get<std::string>()),
                   absl::StrCat(largest));
    const TensorMap begin = TensorsOf(one["begin"]);
    for (const auto& [name, end] : TensorsOf(one["end"])) {
      EXPECT_LT(
          (course->end.at(name) - end).norm().item<double>(),
          kMaxWayDifference * (end - begin.at(name)).norm().item<double>())
          << name;
    }
  }
}

}  // namespace
}  // namespace attune::worker
