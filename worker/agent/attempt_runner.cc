#include "worker/agent/attempt_runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tuning/initialisation.h"

namespace attune::worker {
namespace {

v1::UploadArtifactHeader HeaderOf(const AttemptSession& session) {
  v1::UploadArtifactHeader header;
  header.set_tuning_job(session.job());
  header.set_attempt(session.attempt());
  return header;
}

// A bug in training must fail the job and not end the process.
absl::StatusOr<AttemptResult> CatchAll(const AttemptRunner::RunFunction& run,
                                       const AttemptInput& input,
                                       AttemptListener& listener) {
  try {
    return run(input, listener);
  } catch (const std::bad_alloc&) {
    return MakeError(Reason::kOutOfMemory,
                     "the worker has no memory left for this job: lower "
                     "batch_size or give the worker more");
  } catch (const std::exception& error) {
    return MakeError(Reason::kInternal,
                     Concat("training failed: ", error.what()));
  }
}

}  // namespace

bool IsTransient(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  // A worker cancels none of these calls, so a cancelled or unknown end is a
  // connection that broke.
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status) || absl::IsUnknown(status) ||
         reason == Reason::kQueueFull || reason == Reason::kStorageFull ||
         reason == Reason::kWatchTooSlow;
}

std::optional<v1::FinishAttemptRequest> MakeOutcome(
    const AttemptSession& session,
    const absl::StatusOr<v1::SucceededOutcome>& result) {
  v1::FinishAttemptRequest request;
  request.set_tuning_job(session.job());
  request.set_attempt(session.attempt());
  if (result.ok()) {
    *request.mutable_succeeded() = *result;
    return request;
  }
  const StopCause stop = session.stop_cause();
  if (stop == StopCause::kLeaseLost ||
      ReasonOf(result.status()) == Reason::kLeaseLost) {
    return std::nullopt;
  }
  if (absl::IsCancelled(result.status()) && stop == StopCause::kCancel) {
    request.mutable_cancelled();
  } else if (absl::IsCancelled(result.status()) && stop == StopCause::kDrain) {
    request.mutable_released();
  } else {
    *request.mutable_failed() = ToRpcStatus(result.status());
  }
  return request;
}

AttemptRunner::AttemptRunner(const Options& options, ServerStub& stub,
                             ComputeBudget& budget, TrainingTurns& turns,
                             TrainMetrics& metrics, RunFunction run,
                             std::function<double()> uniform)
    : options_(options),
      stub_(stub),
      budget_(budget),
      turns_(turns),
      metrics_(metrics),
      run_(std::move(run)),
      uniform_(std::move(uniform)) {}

AttemptRunner::~AttemptRunner() {
  for (Running& running : running_) {
    running.thread.join();
  }
}

void AttemptRunner::JoinEnded() {
  const auto ended = [](Running& running) {
    if (running.session->phase() != AttemptPhase::kEnded) {
      return false;
    }
    running.thread.join();  // it has nothing left to do
    return true;
  };
  running_.erase(std::remove_if(running_.begin(), running_.end(), ended),
                 running_.end());
}

template <typename Call>
auto AttemptRunner::Persist(AttemptSession& session, bool lease_only,
                            Call call) {
  Backoff backoff(options_.backoff);
  while (true) {
    auto result = call();
    if (!IsTransient(result.status())) {
      return result;
    }
    const absl::Duration wait = backoff.Next(uniform_());
    spdlog::warn("{} attempt {}: {}; trying again in {}", session.job(),
                 session.attempt(), result.status().ToString(),
                 absl::FormatDuration(wait));
    if (session.WaitForStop(wait, lease_only)) {
      return decltype(result)(
          MakeError(Reason::kCancelled, "the attempt was asked to stop"));
    }
  }
}

std::shared_ptr<AttemptSession> AttemptRunner::Start(
    v1::Assignment assignment, std::function<void()> wake) {
  JoinEnded();
  auto session = std::make_shared<AttemptSession>(
      std::move(assignment), budget_, turns_, metrics_, std::move(wake));
  running_.push_back(
      {session, std::thread([this, session] { Run(*session); })});
  return session;
}

void AttemptRunner::Run(AttemptSession& session) {
  metrics_.AddActiveJobs(1);
  std::thread uploader([&] { UploadCheckpoints(session); });
  absl::StatusOr<AttemptInput> input = Fetch(session);
  const absl::StatusOr<AttemptResult> result =
      input.ok() ? Train(session, *input)
                 : absl::StatusOr<AttemptResult>(input.status());
  if (session.stop_cause() != StopCause::kLeaseLost) {
    session.BeginPublishing();
  }
  // A job that stopped may go on from here; one that is done needs none.
  session.CloseCheckpoints(/*keep_last=*/absl::IsCancelled(result.status()) &&
                           session.stop_cause() != StopCause::kLeaseLost);
  uploader.join();
  const absl::StatusOr<v1::SucceededOutcome> outcome =
      result.ok() ? Publish(session, *result) : result.status();
  metrics_.AddActiveJobs(-1);
  session.End(MakeOutcome(session, outcome));
}

absl::StatusOr<AttemptResult> AttemptRunner::Train(AttemptSession& session,
                                                   const AttemptInput& input) {
  const auto use = budget_.Train();
  auto result = CatchAll(run_, input, session);
  session.EndComputing();
  return result;
}

absl::StatusOr<AttemptInput> AttemptRunner::Fetch(AttemptSession& session) {
  AttemptInput input;
  input.job = session.assignment().tuning_job();
  input.attempt = session.attempt();
  v1::ReadSnapshotRequest request;
  request.set_tuning_job(session.job());
  request.set_attempt(session.attempt());
  ATTUNE_ASSIGN_OR_RETURN(
      input.rows, Persist(session, /*lease_only=*/false, [&] {
        return stub_.ReadSnapshot(request, options_.transfer_timeout);
      }));
  const int64_t expected = input.job.snapshot().num_rows();
  if (static_cast<int64_t>(input.rows.size()) != expected) {
    return MakeError(
        Reason::kStorageFailure,
        Concat("the snapshot of ", session.job(), " has ", expected,
               " rows, but ", input.rows.size(), " arrived: retry the job"));
  }
  ATTUNE_ASSIGN_OR_RETURN(input.checkpoint, FetchCheckpoint(session));
  ATTUNE_ASSIGN_OR_RETURN(input.init_version, FetchInitVersion(session));
  return input;
}

absl::StatusOr<std::optional<Artifact>> AttemptRunner::FetchCheckpoint(
    AttemptSession& session) {
  const std::string& digest = session.assignment().checkpoint_digest();
  if (digest.empty()) {
    return std::nullopt;
  }
  absl::StatusOr<Artifact> checkpoint =
      Persist(session, /*lease_only=*/false, [&] {
        return stub_.DownloadArtifact(digest, options_.transfer_timeout);
      });
  if (checkpoint.ok()) {
    return *std::move(checkpoint);
  }
  if (absl::IsCancelled(checkpoint.status())) {
    return checkpoint.status();
  }
  // Slower, but the job still gets done.
  session.OnNotice(Concat("the checkpoint could not be fetched (",
                          std::string(checkpoint.status().message()),
                          "); training begins anew"));
  return std::nullopt;
}

absl::StatusOr<std::optional<Artifact>> AttemptRunner::FetchInitVersion(
    AttemptSession& session) {
  const v1::Assignment& assignment = session.assignment();
  const std::string& version =
      InitVersionOf(assignment.tuning_job().spec().method());
  if (version.empty()) {
    return std::nullopt;
  }
  const std::string& digest = assignment.init_artifact_digest();
  absl::StatusOr<Artifact> artifact =
      digest.empty()
          ? absl::StatusOr<Artifact>(NotFound("prompt version", version))
          : Persist(session, /*lease_only=*/false, [&] {
              return stub_.DownloadArtifact(digest, options_.transfer_timeout);
            });
  if (artifact.ok()) {
    return *std::move(artifact);
  }
  const std::string message =
      Concat("training cannot start from ", version, ": ",
             std::string(artifact.status().message()));
  if (absl::IsNotFound(artifact.status())) {
    return MakeError(Reason::kResourceNotFound,
                     Concat(message, "; create a job that starts otherwise"));
  }
  if (absl::IsDataLoss(artifact.status())) {
    // Not kCorruptArtifact, which would be taken for the checkpoint's.
    return MakeError(Reason::kIllegalState, message);
  }
  return artifact.status();
}

absl::StatusOr<v1::SucceededOutcome> AttemptRunner::Publish(
    AttemptSession& session, const AttemptResult& result) {
  v1::SucceededOutcome outcome;
  ATTUNE_ASSIGN_OR_RETURN(*outcome.mutable_artifact_digest(),
                          Persist(session, /*lease_only=*/true, [&] {
                            return stub_.UploadArtifact(
                                HeaderOf(session), result.artifact,
                                options_.transfer_timeout);
                          }));
  *outcome.mutable_report() = result.report;
  *outcome.mutable_resolved_spec() = result.resolved_spec;
  outcome.set_model_fingerprint(result.model_fingerprint);
  return outcome;
}

void AttemptRunner::UploadCheckpoints(AttemptSession& session) {
  while (auto checkpoint = session.WaitForCheckpoint()) {
    const absl::Duration start = metrics_.clock().Monotonic();
    const auto digest = Persist(session, /*lease_only=*/true, [&] {
      return session.has_newer_checkpoint()
                 ? absl::StatusOr<std::string>(
                       absl::AbortedError("a newer checkpoint takes its place"))
                 : stub_.UploadArtifact(HeaderOf(session), checkpoint->artifact,
                                        options_.transfer_timeout);
    });
    metrics_.CountCheckpoint(digest.ok(), metrics_.clock().Monotonic() - start);
    if (digest.ok()) {
      session.CheckpointStored(*digest, checkpoint->step);
    } else {
      spdlog::warn("{} attempt {}: checkpoint of step {} is not stored: {}",
                   session.job(), session.attempt(), checkpoint->step,
                   digest.status().ToString());
    }
  }
}

}  // namespace attune::worker
