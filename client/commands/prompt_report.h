#ifndef ATTUNE_CLIENT_COMMANDS_PROMPT_REPORT_H_
#define ATTUNE_CLIENT_COMMANDS_PROMPT_REPORT_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune prompts report` to `prompts`. `session` must outlive it.
void AddPromptReport(CLI::App& prompts, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_PROMPT_REPORT_H_
