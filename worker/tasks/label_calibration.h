#ifndef ATTUNE_WORKER_TASKS_LABEL_CALIBRATION_H_
#define ATTUNE_WORKER_TASKS_LABEL_CALIBRATION_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What `calibration` makes of the natural logarithms of the probabilities of
// all labels; those of the result add up to 1, too. Leaves all of them as they
// are where one is no number, for the caller to find.
void Calibrate(const attune::v1::LabelCalibration& calibration,
               std::vector<double>& log_probabilities);

// Whether an answer of this probability is withheld.
bool Abstains(const attune::v1::LabelCalibration& calibration, double score);

// The temperature with which the mean of -log P(right) is least: of
// softmax(log_probabilities / temperature), between kMinLabelTemperature and
// kMaxLabelTemperature (Guo et al. 2017). log_probabilities: [rows][labels], at
// least one row, all finite; right: indices of labels, one for each.
double FitTemperature(absl::Span<const std::vector<double>> log_probabilities,
                      absl::Span<const int> right);

inline constexpr double kMinLabelTemperature = 0.05;
inline constexpr double kMaxLabelTemperature = 20;

// Inputs that say nothing: `fields`, a row's as a JSON object, with every text
// that the template reads replaced by "N/A", by "[MASK]" and by nothing. The
// last is left out of a template that has no words of its own.
// Errors as of TaskProgram::PrepareInput; INVALID_ARGUMENT if the template
// reads no text.
absl::StatusOr<std::vector<TaskInput>> ContentFreeInputs(
    const TaskProgram& program, std::string_view fields);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_CALIBRATION_H_
