#ifndef ATTUNE_CLIENT_COMMANDS_DATASETS_H_
#define ATTUNE_CLIENT_COMMANDS_DATASETS_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune datasets`. `session` must outlive `root`.
void AddDatasetsCommands(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_DATASETS_H_
