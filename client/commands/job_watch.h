#ifndef ATTUNE_CLIENT_COMMANDS_JOB_WATCH_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_WATCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"
#include "client/connection/connection.h"
#include "proto/cc/clock.h"

namespace attune::client {

// Sees what happens to a watched job. Calls come from one thread, in order.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  virtual void OnEvent(const v1::TuningEvent& event) = 0;
  // The stream broke with `status`; it is being taken up again.
  virtual void OnLost(const absl::Status& status) = 0;
};

bool IsFinal(v1::TuningJob::State state);

// Follows a job from the event after `after_sequence` until it reaches a final
// state, and returns the job as it is then. A broken stream is taken up after
// the last event seen, so that no event comes twice or is missed; after
// max_silence without the server its error is returned. CANCELLED after an
// interrupt, which leaves the job running; else the errors of WatchTuningJob.
absl::StatusOr<v1::TuningJob> WatchJob(Connection& connection,
                                       const Clock& clock,
                                       const std::string& name,
                                       int64_t after_sequence,
                                       JobObserver& observer);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_WATCH_H_
