#ifndef ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_
#define ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_

#include <string>
#include <string_view>

#include "attune/v1/prompt_service.pb.h"
#include "attune/v1/report.pb.h"
#include "client/output/console.h"

namespace attune::client {

// The whole report of a version as tables of text. Parts that it does not have
// are left out.
void PrintReport(const v1::PromptVersion& version, Console& console);

// What is measured, and what it is held against, in the heads of columns.
struct ReportColumns {
  std::string result = "TUNED";
  std::string base = "BASE";
};
// The part of it that says how good the answers are: metrics, labels,
// confusions, reliability and examples. `other`: as of VerdictText; empty
// prints no verdict.
void PrintEvaluation(const v1::TuningReport& report,
                     const ReportColumns& columns, std::string_view other,
                     Stream& out);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_
