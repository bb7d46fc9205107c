#ifndef ATTUNE_CLIENT_COMMANDS_PREDICT_H_
#define ATTUNE_CLIENT_COMMANDS_PREDICT_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune predict`. `session` must outlive `root`.
void AddPredictCommand(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_PREDICT_H_
