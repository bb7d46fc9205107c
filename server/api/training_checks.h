#ifndef ATTUNE_SERVER_API_TRAINING_CHECKS_H_
#define ATTUNE_SERVER_API_TRAINING_CHECKS_H_

#include <string_view>

#include "attune/v1/method.pb.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/training.pb.h"
#include "proto/cc/status.h"

// Checks of how a job trains and measures. Ranges are those of the comments in
// method.proto and training.proto. Pure.
namespace attune::server {

void CheckMethod(const v1::TuningMethod& method, v1::TaskType task,
                 std::string_view path, FieldViolations& violations);
void CheckTraining(const v1::TrainingConfig& training, std::string_view path,
                   FieldViolations& violations);
void CheckEvaluation(const v1::EvaluationConfig& evaluation,
                     const v1::TaskSpec& task, std::string_view path,
                     FieldViolations& violations);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TRAINING_CHECKS_H_
