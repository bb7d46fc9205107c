#include "worker/tasks/label_calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

attune::v1::LabelCalibration Priors(const std::vector<double>& priors) {
  attune::v1::LabelCalibration calibration;
  for (const double prior : priors) {
    calibration.add_log_priors(std::log(prior));
  }
  return calibration;
}

std::vector<double> Logs(std::vector<double> probabilities) {
  for (double& one : probabilities) one = std::log(one);
  return probabilities;
}

std::vector<double> Calibrated(const attune::v1::LabelCalibration& calibration,
                               const std::vector<double>& probabilities) {
  std::vector<double> values = Logs(probabilities);
  Calibrate(calibration, values);
  for (double& one : values) one = std::exp(one);
  return values;
}

TEST(LabelCalibration, NothingAskedChangesNothing) {
  std::vector<double> values = {-0.1, -7.5};
  Calibrate({}, values);
  EXPECT_THAT(values, ElementsAre(-0.1, -7.5));
}

TEST(LabelCalibration, PriorsAreDividedOut) {
  // 0.6 / 0.9 to 0.4 / 0.1.
  EXPECT_THAT(
      Calibrated(Priors({0.9, 0.1}), {0.6, 0.4}),
      ElementsAre(DoubleNear(1.0 / 7, 1e-12), DoubleNear(6.0 / 7, 1e-12)));
  EXPECT_THAT(Calibrated(Priors({0.9, 0.1}), {0.9, 0.1}),
              ElementsAre(DoubleNear(0.5, 1e-12), DoubleNear(0.5, 1e-12)));
}

TEST(LabelCalibration, ATemperatureFlattensWithoutReordering) {
  attune::v1::LabelCalibration calibration;
  calibration.mutable_temperature()->set_value(2);
  // Square roots, adding up to 1.
  EXPECT_THAT(
      Calibrated(calibration, {0.64, 0.36}),
      ElementsAre(DoubleNear(0.8 / 1.4, 1e-12), DoubleNear(0.6 / 1.4, 1e-12)));
}

TEST(LabelCalibration, ImpossibleLabelsStayImpossible) {
  std::vector<double> values = {0, -std::numeric_limits<double>::infinity()};
  Calibrate(Priors({0.5, 0.5}), values);
  EXPECT_DOUBLE_EQ(std::exp(values[0]), 1);
  EXPECT_DOUBLE_EQ(std::exp(values[1]), 0);
}

TEST(LabelCalibration, WhatIsNoNumberIsLeftToTheCaller) {
  std::vector<double> values = {std::nan(""), -1};
  Calibrate(Priors({0.5, 0.5}), values);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], -1);
}

TEST(LabelCalibration, WithholdsWhatIsBelowTheThreshold) {
  attune::v1::LabelCalibration calibration;
  EXPECT_FALSE(Abstains(calibration, 0.01));
  calibration.set_abstain_below(0.7);
  EXPECT_TRUE(Abstains(calibration, 0.69));
  EXPECT_FALSE(Abstains(calibration, 0.7));
}

double MeanLoss(const std::vector<std::vector<double>>& rows,
                const std::vector<int>& right, double temperature) {
  double loss = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    double all = 0;
    for (const double one : rows[i]) all += std::exp(one / temperature);
    loss += std::log(all) - rows[i][right[i]] / temperature;
  }
  return loss / static_cast<double>(rows.size());
}

// Rows that are right less often than their scores say, by `temperature`.
void DrawRows(double temperature, std::vector<std::vector<double>>& rows,
              std::vector<int>& right) {
  SeededRandom random(7, 1);
  for (int i = 0; i < 4000; ++i) {
    std::vector<double> row(3);
    for (double& one : row) one = 6 * random.Uniform();
    double all = 0;
    for (const double one : row) all += std::exp(one / temperature);
    double place = random.Uniform() * all;
    int label = 0;
    while (label < 2 && (place -= std::exp(row[label] / temperature)) > 0) {
      ++label;
    }
    right.push_back(label);
    rows.push_back(std::move(row));
  }
}

TEST(LabelCalibration, FindsTheTemperatureThatRowsWereDrawnWith) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    std::vector<std::vector<double>> rows;
    std::vector<int> right;
    DrawRows(temperature, rows, right);

    const double found = FitTemperature(rows, right);

    // About three standard errors of 4,000 rows.
    EXPECT_NEAR(found, temperature, 0.12 * temperature);
    // No grid has a better one.
    const double least = MeanLoss(rows, right, found);
    for (double other = 0.06; other < 19; other *= 1.05) {
      EXPECT_GE(MeanLoss(rows, right, other), least - 1e-9) << other;
    }
  }
}

TEST(LabelCalibration, RowsThatAreAllRightWantTheLeastTemperature) {
  EXPECT_NEAR(FitTemperature({Logs({0.9, 0.1}), Logs({0.2, 0.8})}, {0, 1}),
              kMinLabelTemperature, 1e-4);
  EXPECT_NEAR(FitTemperature({Logs({0.9, 0.1}), Logs({0.2, 0.8})}, {1, 0}),
              kMaxLabelTemperature, 1e-3);
}

TEST(LabelCalibration, InputsThatSayNothingKeepTheTemplate) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const auto inputs =
      *ContentFreeInputs(*program, R"({"text": "some text", "other": 3})");

  ASSERT_EQ(inputs.size(), 3u);
  const char* const nothings[] = {R"({"text": "N/A"})", R"({"text": "[MASK]"})",
                                  R"({"text": ""})"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(inputs[i].ids, program->PrepareInput(nothings[i], 0)->ids);
  }
}

TEST(LabelCalibration, NothingAtAllIsNoInput) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}");

  const auto inputs =
      *ContentFreeInputs(*CompileTask(task), R"({"text": "some text"})");

  EXPECT_EQ(inputs.size(), 2u);
}

TEST(LabelCalibration, ATemplateWithoutTextHasNoInputThatSaysNothing) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_THAT(ContentFreeInputs(*program, R"({"text": 3})").status(),
              ReasonIs(Reason::kInvalidField, ::testing::_));
}

}  // namespace
}  // namespace attune::worker
