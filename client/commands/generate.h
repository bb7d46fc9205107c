#ifndef ATTUNE_CLIENT_COMMANDS_GENERATE_H_
#define ATTUNE_CLIENT_COMMANDS_GENERATE_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune generate`. `session` must outlive `root`.
void AddGenerateCommand(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_GENERATE_H_
