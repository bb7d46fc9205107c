#ifndef ATTUNE_WORKER_TUNING_CALIBRATION_FIT_H_
#define ATTUNE_WORKER_TUNING_CALIBRATION_FIT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/model_store.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What a calibration is fitted to.
struct CalibrationInput {
  const TaskProgram& program;                // of a classification by one label
  std::shared_ptr<const LoadedModel> model;  // the program's
  // What was tuned; null for the bare base model.
  const AttachedPrompt* prompt = nullptr;
  // Of any row, a JSON object: what the template reads beside texts.
  const std::string& row_fields;
  const std::vector<PreparedExample>& validation;  // at least one
  // Called before every pass through the model; an error ends the fit with it.
  std::function<absl::Status()> before_pass;
};

// Whether there is anything that a job fits.
bool HasCalibrationToFit(const attune::v1::TaskSpec& task);

// The program's task with log_priors and temperature set as its calibration
// asks for: the priors first, the temperature behind them. The examples of
// `program` are those of the new task, too. kNonfiniteLoss if the model gives
// no numbers; otherwise errors of the model and of ContentFreeInputs.
absl::StatusOr<attune::v1::TaskSpec> FitCalibration(
    const CalibrationInput& input);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_CALIBRATION_FIT_H_
