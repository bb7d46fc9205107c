#ifndef ATTUNE_CLIENT_COMMANDS_JOB_PROGRESS_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_PROGRESS_H_

#include <memory>
#include <string>

#include "attune/v1/tuning_service.pb.h"
#include "client/commands/job_watch.h"
#include "client/output/progress_bar.h"

namespace attune::client {

// "training" for PHASE_TRAINING, and so on; at most 10 columns.
std::string PhaseName(v1::TuningProgress::Phase phase);

// "RUNNING" for STATE_RUNNING.
std::string StateName(v1::TuningJob::State state);

// What the bar shows of a report: the share of the work done, then step, loss,
// metric, time left and speed.
ProgressView ViewOf(const v1::TuningProgress& progress);

// "running on worker-1, attempt 2: lease expired"
std::string Describe(const v1::TuningEvent::StateChange& change);

// Shows a job on a terminal: a bar, with changes of state above it.
std::unique_ptr<JobObserver> MakeBarObserver(Stream& terminal, bool unicode,
                                             const Clock& clock);

// Shows a job in a log: a line for each change of state and phase, and about
// one for each tenth of the work.
std::unique_ptr<JobObserver> MakeLineObserver(Stream& out);

// Prints each event as a line of JSON.
std::unique_ptr<JobObserver> MakeJsonObserver(Stream& out);

// Shows nothing.
std::unique_ptr<JobObserver> MakeSilentObserver();

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_PROGRESS_H_
