#ifndef ATTUNE_CLIENT_COMMANDS_TEMPLATE_CANDIDATES_H_
#define ATTUNE_CLIENT_COMMANDS_TEMPLATE_CANDIDATES_H_

#include "attune/v1/report.pb.h"
#include "client/output/console.h"
#include "client/output/markup.h"

// What a search for a template compared (TuningReport.template_candidates), as
// text and for the page.
namespace attune::client {

// A line for each of the best, the one that was kept first, and how many more
// there are; below the first template of an ensemble how many more it has.
// Nothing without candidates.
void PrintTemplateCandidates(const v1::TuningReport& report, Stream& out);

// All of them, their templates as they are.
Markup TemplateFigures(const v1::TuningReport& report);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_TEMPLATE_CANDIDATES_H_
