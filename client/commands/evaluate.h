#ifndef ATTUNE_CLIENT_COMMANDS_EVALUATE_H_
#define ATTUNE_CLIENT_COMMANDS_EVALUATE_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune evaluate`. `session` must outlive `root`.
void AddEvaluateCommand(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_EVALUATE_H_
