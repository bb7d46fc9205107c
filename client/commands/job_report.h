#ifndef ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_

#include <string>

#include "absl/time/time.h"
#include "attune/v1/report.pb.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "client/output/console.h"

namespace attune::client {

// The metrics of the base and of the tuned prompt, side by side, and the curves
// of loss and validations.
void PrintTuningReport(const v1::TuningReport& report, Console& console);

// How a finished job ended: for a success the report, the version and the
// command that uses it; for a failure the error, on `err`, and the remedy.
void PrintJobEnd(const v1::TuningJob& job, Console& console);

// Everything about one job.
void PrintJobDetails(const v1::TuningJob& job, Console& console);

// The command that asks `prompt` something, with the field that the task's
// template names first.
std::string ExampleCall(const std::string& prompt, const v1::TaskSpec& task);

// "prompt tuning, 20 rows", "LoRA", ...
std::string MethodText(const v1::TuningMethod& method);

// "text classification, 10 labels"
std::string TaskText(const v1::TaskSpec& task);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_
