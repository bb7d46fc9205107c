#ifndef ATTUNE_CLIENT_COMMANDS_PROMPTS_H_
#define ATTUNE_CLIENT_COMMANDS_PROMPTS_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune prompts`. `session` must outlive `root`.
void AddPromptsCommands(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_PROMPTS_H_
