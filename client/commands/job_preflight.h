#ifndef ATTUNE_CLIENT_COMMANDS_JOB_PREFLIGHT_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_PREFLIGHT_H_

#include "CLI/App.hpp"
#include "attune/v1/tuning_service.pb.h"
#include "client/commands/session.h"
#include "client/output/console.h"

namespace attune::client {

// What a preflight found: errors and warnings, splits, labels, sample rows and
// the cost.
void PrintPreflight(const v1::PreflightTuningJobResponse& response,
                    Console& console);

// Adds `attune jobs preflight` to `jobs`. `session` must outlive it.
void AddJobPreflight(CLI::App& jobs, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_PREFLIGHT_H_
