#ifndef ATTUNE_CLIENT_COMMANDS_ATTUNE_CLI_H_
#define ATTUNE_CLIENT_COMMANDS_ATTUNE_CLI_H_

#include <string>
#include <vector>

#include "client/commands/session.h"

namespace attune::client {

// Runs `attune` with `arguments` (without the program's name) and returns its
// exit code (client/output/error_text.h). Prints errors; never throws.
int RunAttune(std::vector<std::string> arguments, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_ATTUNE_CLI_H_
