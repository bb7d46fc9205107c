#ifndef ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_
#define ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_

#include "attune/v1/prompt_service.pb.h"
#include "client/output/console.h"

namespace attune::client {

// The whole report of a version as tables of text. Parts that it does not have
// are left out.
void PrintReport(const v1::PromptVersion& version, Console& console);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_REPORT_TABLES_H_
