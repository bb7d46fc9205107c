#ifndef ATTUNE_TESTS_SERVER_JOBS_JOB_WORKERS_FIXTURE_H_
#define ATTUNE_TESTS_SERVER_JOBS_JOB_WORKERS_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {

inline constexpr auto kContinue = worker::v1::AttemptDirective::ACTION_CONTINUE;
inline constexpr auto kCancel = worker::v1::AttemptDirective::ACTION_CANCEL;
inline constexpr auto kAbandon = worker::v1::AttemptDirective::ACTION_ABANDON;

// What is said of the one attempt that was reported.
inline worker::v1::AttemptDirective::Action ActionOf(
    const worker::v1::SynchronizeResponse& response) {
  EXPECT_EQ(response.directives_size(), 1);
  return response.directives_size() == 1
             ? response.directives(0).action()
             : worker::v1::AttemptDirective::ACTION_UNSPECIFIED;
}

// What workers do at a JobManager. Time moves by hand: a lease is 30 s, delays
// after losses are 1 s, 5 s and so on.
class JobWorkersFixture : public testing::Test {
 protected:
  using FinishAttemptRequest = worker::v1::FinishAttemptRequest;
  using SynchronizeRequest = worker::v1::SynchronizeRequest;
  using SynchronizeResponse = worker::v1::SynchronizeResponse;

  JobManager& jobs() { return *state_.jobs; }

  static SynchronizeRequest MakeReport(const std::string& worker,
                                       const std::string& job, int attempt) {
    SynchronizeRequest request;
    *request.mutable_worker() = MakeWorker(worker);
    request.mutable_worker()->set_free_job_slots(0);
    worker::v1::AttemptState& state = *request.add_attempts();
    state.set_tuning_job(Concat("tuningJobs/", job));
    state.set_attempt(attempt);
    return request;
  }
  SynchronizeResponse Sync(const SynchronizeRequest& request) {
    auto response = jobs().Synchronize(request);
    EXPECT_OK(response);
    return response.ok() ? *response : SynchronizeResponse();
  }
  void ReportCheckpoint(const std::string& worker, const std::string& job,
                        int attempt, int step) {
    SynchronizeRequest request = MakeReport(worker, job, attempt);
    request.mutable_attempts(0)->set_checkpoint_digest(
        state_.StoreArtifact(Concat(job, " step ", step)));
    request.mutable_attempts(0)->set_checkpoint_step(step);
    EXPECT_EQ(ActionOf(Sync(request)), kContinue);
  }
  void Pass(absl::Duration duration) {
    state_.clock.Advance(duration);
    EXPECT_OK(jobs().ExpireLeases());
  }
  // Lets the lease of the job's attempt end, and the delay after it.
  void LoseLease() {
    Pass(absl::Seconds(30));
    Pass(absl::Seconds(5));
  }
  absl::StatusOr<v1::TuningJob> Fail(const std::string& job, int attempt,
                                     Reason reason,
                                     const std::string& message = "it broke") {
    FinishAttemptRequest request;
    request.set_tuning_job(Concat("tuningJobs/", job));
    request.set_attempt(attempt);
    *request.mutable_failed() = ToRpcStatus(MakeError(reason, message));
    auto response = jobs().FinishAttempt(request);
    if (!response.ok()) return response.status();
    return response->tuning_job();
  }
  FinishAttemptRequest MakeFinish(const std::string& job, int attempt) {
    FinishAttemptRequest request;
    request.set_tuning_job(Concat("tuningJobs/", job));
    request.set_attempt(attempt);
    return request;
  }
  Reason ErrorOf(const std::string& job) {
    return ReasonOf(FromRpcStatus(jobs().GetJob(job)->error()));
  }
  std::vector<std::string> Messages(const std::string& id) {
    std::vector<std::string> messages;
    const JobEvents events = jobs().EventsAfter(id, 0, 1000).value();
    for (const auto& event : events.events) {
      if (event.has_state_change()) {
        messages.push_back(event.state_change().message());
      } else if (event.has_notice()) {
        messages.push_back(event.notice().message());
      } else {
        messages.push_back(Concat("step ", event.progress().step()));
      }
    }
    return messages;
  }

  ServerState state_;
};

}  // namespace attune::server

#endif  // ATTUNE_TESTS_SERVER_JOBS_JOB_WORKERS_FIXTURE_H_
