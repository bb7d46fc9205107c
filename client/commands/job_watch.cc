#include "client/commands/job_watch.h"

#include <memory>

#include "proto/cc/status.h"

namespace attune::client {
namespace {

// Below the ten minutes that the server allows to most calls.
constexpr absl::Duration kStreamLength = absl::Minutes(9);

// One stream of a watch, and what came of it.
struct StreamEnd {
  absl::Status status;
  bool heard = false;  // whether any message came
};

StreamEnd ReadStream(Connection& connection, const std::string& name,
                     int64_t& last_sequence, JobObserver& observer) {
  v1::WatchTuningJobRequest request;
  request.set_name(name);
  request.set_after_sequence(last_sequence);
  Connection::ActiveCall call(connection.interrupt(), kStreamLength);
  const auto reader =
      connection.tuning().WatchTuningJob(call.context(), request);
  StreamEnd end;
  v1::WatchTuningJobResponse response;
  while (reader->Read(&response)) {
    end.heard = true;
    if (response.has_event() && response.event().sequence() > last_sequence) {
      last_sequence = response.event().sequence();
      observer.OnEvent(response.event());
    }
  }
  end.status = connection.FromServer(reader->Finish());
  return end;
}

bool MayResume(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) ||
         absl::IsDeadlineExceeded(status) ||
         ReasonOf(status) == Reason::kWatchTooSlow;
}

}  // namespace

bool IsFinal(v1::TuningJob::State state) {
  return state == v1::TuningJob::STATE_SUCCEEDED ||
         state == v1::TuningJob::STATE_FAILED ||
         state == v1::TuningJob::STATE_CANCELLED;
}

absl::StatusOr<v1::TuningJob> WatchJob(Connection& connection,
                                       const Clock& clock,
                                       const std::string& name,
                                       int64_t after_sequence,
                                       JobObserver& observer) {
  v1::GetTuningJobRequest get;
  get.set_name(name);
  absl::Duration heard_at = clock.Monotonic();
  for (int attempt = 2;; ++attempt) {
    StreamEnd end = ReadStream(connection, name, after_sequence, observer);
    if (end.heard) {
      heard_at = clock.Monotonic();
      attempt = 2;
    }
    if (end.status.ok()) {
      // A final state in the past of a job that was retried ends a stream too.
      auto job = connection.Call(Repeat::kSafe, connection.tuning(),
                                 &v1::TuningService::Stub::GetTuningJob, get);
      if (job.ok() && IsFinal(job->state())) return job;
      end.status = job.status();
    }
    if (!MayResume(end.status)) return end.status;
    if (!end.status.ok() && !absl::IsDeadlineExceeded(end.status)) {
      const absl::Duration silence = clock.Monotonic() - heard_at;
      if (silence >= connection.options().max_silence) return end.status;
      observer.OnLost(end.status);
    }
    if (!connection.interrupt().WaitFor(connection.BackoffBefore(attempt))) {
      return InterruptedError();
    }
  }
}

}  // namespace attune::client
