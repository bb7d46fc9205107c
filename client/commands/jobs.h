#ifndef ATTUNE_CLIENT_COMMANDS_JOBS_H_
#define ATTUNE_CLIENT_COMMANDS_JOBS_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune jobs`. `session` must outlive `root`.
void AddJobsCommands(CLI::App& root, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOBS_H_
