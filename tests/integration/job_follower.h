#ifndef ATTUNE_TESTS_INTEGRATION_JOB_FOLLOWER_H_
#define ATTUNE_TESTS_INTEGRATION_JOB_FOLLOWER_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/tuning_service.grpc.pb.h"

namespace attune::integration {

// Whether a job in this state changes no more by itself.
bool IsFinal(v1::TuningJob::State state);

// Follows one job as a careful client does: it watches from the last sequence
// it saw, and calls again when the server goes away. It keeps every event and
// refuses a gap, a repetition, or anything after a final state but the retry of
// a failed or cancelled job. Not thread-safe.
class JobFollower {
 public:
  JobFollower(const std::shared_ptr<grpc::Channel>& channel, std::string job);

  // Reads on until `wanted` says yes to an event and returns that event. An
  // error when the watch ends before, or after `timeout`.
  absl::StatusOr<v1::TuningEvent> WaitFor(
      const std::function<bool(const v1::TuningEvent&)>& wanted,
      absl::Duration timeout);

  // Waits until the job has made at least `step` steps.
  absl::StatusOr<v1::TuningEvent> WaitForStep(int step, absl::Duration timeout);
  absl::StatusOr<v1::TuningEvent> WaitForState(v1::TuningJob::State state,
                                               absl::Duration timeout);
  // Waits for the final state.
  absl::StatusOr<v1::TuningEvent::StateChange> WaitForEnd(
      absl::Duration timeout);

  // Everything seen so far, sequence 1 first.
  const std::vector<v1::TuningEvent>& events() const { return events_; }
  // The newest number of steps seen.
  int step() const;
  bool ended() const;
  const std::string& job() const { return job_; }

 private:
  // Takes an event that the server sent. Internal when it breaks the order.
  absl::Status Accept(const v1::TuningEvent& event);
  std::string Summary() const;

  std::unique_ptr<v1::TuningService::Stub> stub_;
  std::string job_;
  std::vector<v1::TuningEvent> events_;
};

}  // namespace attune::integration

#endif  // ATTUNE_TESTS_INTEGRATION_JOB_FOLLOWER_H_
