#ifndef ATTUNE_SERVER_JOBS_JOB_STATE_H_
#define ATTUNE_SERVER_JOBS_JOB_STATE_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "attune/v1/tuning_service.pb.h"

namespace attune::server {

using JobState = v1::TuningJob::State;

// "RUNNING" for STATE_RUNNING, as filters and metrics write it.
std::string_view JobStateName(JobState state);
// The state of a name; nothing for any other text and for "STATE_UNSPECIFIED".
std::optional<JobState> FindJobState(std::string_view name);

// Whether only RetryTuningJob leads out of it.
bool IsFinal(JobState state);
// Whether a worker holds the job: RUNNING or CANCELLING.
bool IsHeld(JobState state);

// Whether the table of states has an edge from one to the other.
bool MayAdvance(JobState from, JobState to);

// Sets `state` to `to`. FAILED_PRECONDITION (kIllegalState), and no change,
// when the table has no such edge. The only place that changes a job's state.
absl::Status Advance(JobState to, v1::TuningJob& job);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_STATE_H_
