#ifndef ATTUNE_CLIENT_COMMANDS_TUNING_REPORT_H_
#define ATTUNE_CLIENT_COMMANDS_TUNING_REPORT_H_

#include "attune/v1/report.pb.h"
#include "client/output/console.h"

namespace attune::client {

// The short form, for jobs and versions: the metrics of the base and of the
// result, side by side, the curves, and what a search for a template compared.
void PrintTuningReport(const v1::TuningReport& report, Console& console);

// A line for each curve that tells how training went: loss and validations.
void PrintCurves(const v1::TuningReport& report, Console& console);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_TUNING_REPORT_H_
