#ifndef ATTUNE_CLIENT_COMMANDS_STATUS_H_
#define ATTUNE_CLIENT_COMMANDS_STATUS_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune status`. `session` must outlive `root`.
void AddStatusCommand(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_STATUS_H_
