#ifndef ATTUNE_WORKER_AGENT_ATTEMPT_RUNNER_H_
#define ATTUNE_WORKER_AGENT_ATTEMPT_RUNNER_H_

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/agent/attempt_session.h"
#include "worker/agent/backoff.h"
#include "worker/agent/server_stub.h"
#include "worker/agent/train_metrics.h"
#include "worker/agent/training_turns.h"
#include "worker/inference/compute_budget.h"
#include "worker/tuning/attempt.h"

namespace attune::worker {

// Carries attempts out, each on a thread of its own: fetches rows and
// checkpoint, trains when it is its turn, stores checkpoints (on a second
// thread, so that training goes on) and the result. Calls that fail for a while
// are made again until the lease is lost. Owned by the control loop and used on
// its thread.
class AttemptRunner {
 public:
  // Tuning's RunAttempt, or what a test puts there.
  using RunFunction = std::function<absl::StatusOr<AttemptResult>(
      const AttemptInput&, AttemptListener&)>;

  struct Options {
    Backoff::Options backoff;
    absl::Duration transfer_timeout = absl::Minutes(5);
  };

  // Everything but `options` and `run` is borrowed. `uniform` gives numbers in
  // [0, 1) for jitter; several threads call it.
  AttemptRunner(const Options& options, ServerStub& stub, ComputeBudget& budget,
                TrainingTurns& turns, TrainMetrics& metrics, RunFunction run,
                std::function<double()> uniform);
  // Waits for all attempts; ask their sessions to stop before.
  ~AttemptRunner();

  // Begins an attempt.
  std::shared_ptr<AttemptSession> Start(v1::Assignment assignment,
                                        std::function<void()> wake);

 private:
  struct Running {
    std::shared_ptr<AttemptSession> session;
    std::thread thread;
  };

  // Joins the threads of attempts that have ended.
  void JoinEnded();
  void Run(AttemptSession& session);
  absl::StatusOr<AttemptInput> Fetch(AttemptSession& session);
  absl::StatusOr<std::optional<Artifact>> FetchCheckpoint(
      AttemptSession& session);
  // The version to start from, if the job names one.
  absl::StatusOr<std::optional<Artifact>> FetchInitVersion(
      AttemptSession& session);
  absl::StatusOr<AttemptResult> Train(AttemptSession& session,
                                      const AttemptInput& input);
  absl::StatusOr<v1::SucceededOutcome> Publish(AttemptSession& session,
                                               const AttemptResult& result);
  // Until the session's checkpoints are closed.
  void UploadCheckpoints(AttemptSession& session);

  // Calls until it succeeds, fails for good, or the session stops; a lost lease
  // is the only stop that counts when `lease_only`.
  template <typename Call>
  auto Persist(AttemptSession& session, bool lease_only, Call call);

  const Options options_;
  ServerStub& stub_;
  ComputeBudget& budget_;
  TrainingTurns& turns_;
  TrainMetrics& metrics_;
  const RunFunction run_;
  const std::function<double()> uniform_;
  std::vector<Running> running_;
};

// What to tell the server at the end of an attempt that came to `result`; none
// when its lease is lost.
std::optional<v1::FinishAttemptRequest> MakeOutcome(
    const AttemptSession& session,
    const absl::StatusOr<v1::SucceededOutcome>& result);

// Whether the same call to the server may succeed a little later.
bool IsTransient(const absl::Status& status);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_ATTEMPT_RUNNER_H_
