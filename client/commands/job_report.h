#ifndef ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_

#include "attune/v1/tuning_service.pb.h"
#include "client/output/console.h"

namespace attune::client {

// How a finished job ended: for a success the report, the version and the
// command that uses it; for a failure the error, on `err`, and the remedy.
void PrintJobEnd(const v1::TuningJob& job, Console& console);

// Everything about one job.
void PrintJobDetails(const v1::TuningJob& job, Console& console);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_REPORT_H_
