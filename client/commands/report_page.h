#ifndef ATTUNE_CLIENT_COMMANDS_REPORT_PAGE_H_
#define ATTUNE_CLIENT_COMMANDS_REPORT_PAGE_H_

#include <string>

#include "attune/v1/prompt_service.pb.h"

namespace attune::client {

// The report of a version as one page that stands alone (html_page.h). All of
// it is from the version; parts that it does not have are left out. A pure
// function.
std::string ReportPage(const v1::PromptVersion& version);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_REPORT_PAGE_H_
