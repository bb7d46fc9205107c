#ifndef ATTUNE_CLIENT_COMMANDS_MODELS_H_
#define ATTUNE_CLIENT_COMMANDS_MODELS_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune models`. `session` must outlive `root`.
void AddModelsCommands(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_MODELS_H_
