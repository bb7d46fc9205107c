#include "worker/tuning/calibration_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/label_calibration.h"
#include "worker/tasks/label_scorer.h"

namespace attune::worker {
namespace {

const std::string& Row() {
  static const std::string row = R"({"text": "any"})";
  return row;
}

std::vector<PreparedExample> Rows(const TaskProgram& program) {
  std::vector<Example> rows;
  for (int i = 0; i < 12; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": "it is )", i, "\"}"),
                    .answer = i % 3 == 0 ? "no" : "yes"});
  }
  return *PrepareExamples(program, rows);
}

absl::StatusOr<attune::v1::TaskSpec> Fit(
    const TaskProgram& program, const std::vector<PreparedExample>& rows) {
  return FitCalibration({.program = program,
                         .model = TinyModel(),
                         .row_fields = Row(),
                         .validation = rows,
                         .before_pass = [] { return absl::OkStatus(); }});
}

TEST(CalibrationFit, OnlyWhatIsAskedForIsFitted) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  EXPECT_FALSE(HasCalibrationToFit(task));
  task.mutable_calibration()->set_abstain_below(0.5);
  task.mutable_calibration()->mutable_temperature()->set_value(2);
  EXPECT_FALSE(HasCalibrationToFit(task));
  task.mutable_calibration()->set_content_free(true);
  EXPECT_TRUE(HasCalibrationToFit(task));
}

TEST(CalibrationFit, PriorsAreTheMeanOverInputsThatSayNothing) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_calibration()->set_content_free(true);
  const auto program = CompileTask(task);

  const attune::v1::TaskSpec fitted = *Fit(*program, Rows(*program));

  std::vector<double> mean(2, 0);
  const std::vector<TaskInput> nothings = *ContentFreeInputs(*program, Row());
  for (const TaskInput& input : nothings) {
    const auto scores =
        *ScoreLabels(program->model().causal(),
                     {{.text = input.ids, .trie = &program->trie(input)}});
    for (int i = 0; i < 2; ++i) mean[i] += std::exp(scores[0][i]) / 3;
  }
  ASSERT_EQ(fitted.calibration().log_priors_size(), 2);
  // Three texts in one pass or each alone: fp32 rounds otherwise.
  EXPECT_NEAR(std::exp(fitted.calibration().log_priors(0)), mean[0], 1e-5);
  EXPECT_NEAR(std::exp(fitted.calibration().log_priors(1)), mean[1], 1e-5);
  EXPECT_FALSE(fitted.calibration().has_temperature());
}

TEST(CalibrationFit, TheTemperatureHasTheLeastLossOfItsTask) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_calibration()->set_content_free(true);
  task.mutable_calibration()->set_fit_temperature(true);
  const auto program = CompileTask(task);
  const auto rows = Rows(*program);

  const attune::v1::TaskSpec fitted = *Fit(*program, rows);

  const auto loss_at = [&](double temperature) {
    attune::v1::TaskSpec other = fitted;
    other.mutable_calibration()->mutable_temperature()->set_value(temperature);
    return Evaluate(*CompileTask(other), rows, {})->loss();
  };
  // The logarithm of the temperature is known to this, and the loss falls by
  // less than what that one changes.
  constexpr double kSearch = 1e-6;
  const double best = fitted.calibration().temperature().value();
  const double least = Evaluate(*CompileTask(fitted), rows, {})->loss();
  EXPECT_LE(least, loss_at(1));
  EXPECT_LE(least, loss_at(std::min(20.0, best * 1.2)) + kSearch);
  EXPECT_LE(least, loss_at(std::max(0.05, best / 1.2)) + kSearch);
}

TEST(CalibrationFit, EndsWithTheCallersError) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_calibration()->set_fit_temperature(true);
  const auto program = CompileTask(task);
  const auto rows = Rows(*program);

  EXPECT_THAT(
      FitCalibration(
          {.program = *program,
           .model = TinyModel(),
           .row_fields = Row(),
           .validation = rows,
           .before_pass = [] { return MakeError(Reason::kCancelled, "stop"); }})
          .status(),
      ReasonIs(Reason::kCancelled, ::testing::_));
}

}  // namespace
}  // namespace attune::worker
