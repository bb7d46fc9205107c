#ifndef ATTUNE_TESTS_WORKER_AGENT_ATTEMPT_FIXTURE_H_
#define ATTUNE_TESTS_WORKER_AGENT_ATTEMPT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/worker/agent/mock_server_stub.h"
#include "worker/agent/attempt_runner.h"

namespace attune::worker {

// The server is not there.
inline absl::Status Unreachable() {
  return absl::UnavailableError("no connection");
}

// A runner on a mocked server, whose training is a function.
class AttemptFixture : public testing::Test {
 protected:
  AttemptFixture() {
    using testing::_;
    ON_CALL(stub_, ReadSnapshot(_, _))
        .WillByDefault(testing::Return(std::vector<std::string>{"{}", "{}"}));
    ON_CALL(stub_, UploadArtifact(_, _, _))
        .WillByDefault([](const v1::UploadArtifactHeader&,
                          const Artifact& artifact,
                          absl::Duration) { return ArtifactDigest(artifact); });
    ON_CALL(stub_, FinishAttempt(_, _))
        .WillByDefault(testing::Return(absl::OkStatus()));
  }

  std::unique_ptr<AttemptRunner> MakeRunner(AttemptRunner::RunFunction run) {
    // No real waiting between tries.
    AttemptRunner::Options options;
    options.backoff = {.initial = absl::ZeroDuration(),
                       .maximum = absl::ZeroDuration()};
    return std::make_unique<AttemptRunner>(options, stub_, budget_, turns_,
                                           train_, std::move(run),
                                           [] { return 0.5; });
  }

  static v1::Assignment MakeAssignment(const std::string& checkpoint = "",
                                       const std::string& job = "j") {
    v1::Assignment assignment;
    assignment.mutable_tuning_job()->set_name("tuningJobs/" + job);
    assignment.mutable_tuning_job()->mutable_snapshot()->set_num_rows(2);
    assignment.set_attempt(1);
    assignment.set_checkpoint_digest(checkpoint);
    return assignment;
  }

  static Artifact MakeArtifact(const std::string& bytes) {
    return {{{"file", bytes}}};
  }

  // Training that succeeds at once.
  static absl::StatusOr<AttemptResult> Succeed(const AttemptInput&,
                                               AttemptListener&) {
    AttemptResult result;
    result.artifact = MakeArtifact("result");
    result.report.set_num_steps(7);
    result.model_fingerprint = "f";
    return result;
  }

  // Training that runs until it is asked to stop, and leaves a checkpoint.
  static absl::StatusOr<AttemptResult> RunUntilStopped(
      const AttemptInput&, AttemptListener& listener) {
    static_cast<AttemptSession&>(listener).WaitForStop(absl::InfiniteDuration(),
                                                       /*lease_only=*/false);
    listener.OnCheckpoint(MakeArtifact("checkpoint"), 12);
    return absl::CancelledError("asked to stop");
  }

  Metrics metrics_;
  FakeClock clock_;
  TrainMetrics train_{metrics_, clock_};
  ComputeBudget budget_{2};
  TrainingTurns turns_{clock_};
  testing::NiceMock<MockServerStub> stub_;
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_AGENT_ATTEMPT_FIXTURE_H_
