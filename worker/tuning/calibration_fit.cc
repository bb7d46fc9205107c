#include "worker/tuning/calibration_fit.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "worker/models/attached_prompt.h"
#include "worker/tasks/answer_scorer.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/label_calibration.h"

namespace attune::worker {
namespace {

using attune::v1::LabelCalibration;
using attune::v1::TaskSpec;

// Logarithms of the mean probability of each label over inputs that say
// nothing.
absl::StatusOr<std::vector<double>> MeasureLogPriors(
    const CalibrationInput& input) {
  const TaskProgram& program = input.program;
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TaskInput> nothings,
                          ContentFreeInputs(program, input.row_fields));
  std::vector<ScoredInput> inputs;
  inputs.reserve(nothings.size());
  for (const TaskInput& one : nothings) {
    inputs.push_back(
        {.program = &program, .input = &one, .prompt = input.prompt});
  }
  ATTUNE_RETURN_IF_ERROR(input.before_pass());
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<std::vector<double>> scores,
      ScoreAnswers(ModelWith(input.prompt, program.model()), inputs));
  std::vector<double> priors(program.labels().size(), 0);
  for (const std::vector<double>& one : scores) {
    for (size_t i = 0; i < priors.size(); ++i) priors[i] += std::exp(one[i]);
  }
  for (double& prior : priors) {
    prior = std::log(std::max(prior / static_cast<double>(scores.size()),
                              std::numeric_limits<double>::min()));
    if (!std::isfinite(prior)) {
      return MakeError(Reason::kNonfiniteLoss,
                       "the labels' probabilities of inputs that say nothing "
                       "are not finite");
    }
  }
  return priors;
}

// The temperature that suits `task` on the validation rows.
absl::StatusOr<double> MeasureTemperature(const CalibrationInput& input,
                                          TaskSpec task) {
  task.mutable_calibration()->clear_temperature();
  ATTUNE_ASSIGN_OR_RETURN(
      const std::unique_ptr<const TaskProgram> program,
      TaskProgram::Compile(task, input.model, input.program.num_prompt_rows()));
  std::vector<std::vector<double>> scores;
  EvaluationOptions options;
  options.split = "validation";
  options.prompt = input.prompt;
  options.before_pass = [&](int64_t, int64_t) { return input.before_pass(); };
  options.probabilities = &scores;
  ATTUNE_ASSIGN_OR_RETURN(const attune::v1::EvaluationReport report,
                          Evaluate(*program, input.validation, options));
  if (!std::isfinite(report.loss())) {
    return MakeError(Reason::kNonfiniteLoss,
                     "the validation's loss is not finite, so there is no "
                     "temperature");
  }
  for (std::vector<double>& row : scores) {
    for (double& one : row) {
      one = std::log(std::max(one, std::numeric_limits<double>::min()));
    }
  }
  std::vector<int> right;
  right.reserve(input.validation.size());
  for (const PreparedExample& one : input.validation) {
    right.push_back(one.label);
  }
  return FitTemperature(scores, right);
}

}  // namespace

bool HasCalibrationToFit(const TaskSpec& task) {
  return task.calibration().content_free() ||
         task.calibration().fit_temperature();
}

absl::StatusOr<TaskSpec> FitCalibration(const CalibrationInput& input) {
  TaskSpec task = input.program.task();
  LabelCalibration& calibration = *task.mutable_calibration();
  if (calibration.content_free()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> priors,
                            MeasureLogPriors(input));
    calibration.mutable_log_priors()->Assign(priors.begin(), priors.end());
  }
  if (calibration.fit_temperature()) {
    ATTUNE_ASSIGN_OR_RETURN(const double temperature,
                            MeasureTemperature(input, task));
    calibration.mutable_temperature()->set_value(temperature);
  }
  return task;
}

}  // namespace attune::worker
