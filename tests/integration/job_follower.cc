#include "tests/integration/job_follower.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace attune::integration {

bool IsFinal(v1::TuningJob::State state) {
  return state == v1::TuningJob::STATE_SUCCEEDED ||
         state == v1::TuningJob::STATE_FAILED ||
         state == v1::TuningJob::STATE_CANCELLED;
}

JobFollower::JobFollower(const std::shared_ptr<grpc::Channel>& channel,
                         std::string job)
    : stub_(v1::TuningService::NewStub(channel)), job_(std::move(job)) {}

absl::StatusOr<v1::TuningEvent> JobFollower::WaitFor(
    const std::function<bool(const v1::TuningEvent&)>& wanted,
    absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(deadline));
    v1::WatchTuningJobRequest request;
    request.set_name(job_);
    request.set_after_sequence(static_cast<int64_t>(events_.size()));
    auto reader = stub_->WatchTuningJob(&context, request);
    v1::WatchTuningJobResponse response;
    while (reader->Read(&response)) {
      if (!response.has_event()) continue;
      if (absl::Status taken = Accept(response.event()); !taken.ok()) {
        return taken;
      }
      if (wanted(response.event())) {
        context.TryCancel();
        reader->Finish();
        return response.event();
      }
    }
    const grpc::Status status = reader->Finish();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
        absl::Now() < deadline) {
      continue;
    }
    return absl::InternalError(absl::StrCat(
        "the watch of ", job_, " ended with code ", status.error_code(), " ",
        status.error_message(), " after: ", Summary()));
  }
}

absl::StatusOr<v1::TuningEvent> JobFollower::WaitForStep(
    int step, absl::Duration timeout) {
  return WaitFor(
      [step](const v1::TuningEvent& event) {
        return event.progress().step() >= step;
      },
      timeout);
}

absl::StatusOr<v1::TuningEvent> JobFollower::WaitForState(
    v1::TuningJob::State state, absl::Duration timeout) {
  return WaitFor(
      [state](const v1::TuningEvent& event) {
        return event.state_change().state() == state;
      },
      timeout);
}

absl::StatusOr<v1::TuningEvent::StateChange> JobFollower::WaitForEnd(
    absl::Duration timeout) {
  if (ended()) return events_.back().state_change();
  absl::StatusOr<v1::TuningEvent> event = WaitFor(
      [](const v1::TuningEvent& seen) {
        return IsFinal(seen.state_change().state());
      },
      timeout);
  if (!event.ok()) return event.status();
  return event->state_change();
}

int JobFollower::step() const {
  int step = 0;
  for (const v1::TuningEvent& event : events_) {
    if (event.has_progress()) step = event.progress().step();
  }
  return step;
}

bool JobFollower::ended() const {
  return !events_.empty() && IsFinal(events_.back().state_change().state());
}

absl::Status JobFollower::Accept(const v1::TuningEvent& event) {
  const bool retried =
      ended() &&
      events_.back().state_change().state() != v1::TuningJob::STATE_SUCCEEDED &&
      event.state_change().state() == v1::TuningJob::STATE_QUEUED;
  if (ended() && !retried) {
    return absl::InternalError(absl::StrCat(job_, ": event ", event.sequence(),
                                            " follows a final state"));
  }
  const int64_t expected = static_cast<int64_t>(events_.size()) + 1;
  if (event.sequence() != expected) {
    return absl::InternalError(absl::StrCat(
        job_, ": event ", expected, " should come, not ", event.sequence()));
  }
  events_.push_back(event);
  return absl::OkStatus();
}

std::string JobFollower::Summary() const {
  std::string summary;
  for (const v1::TuningEvent& event : events_) {
    absl::StrAppend(&summary, event.sequence(), " ");
    if (event.has_state_change()) {
      absl::StrAppend(&summary,
                      v1::TuningJob::State_Name(event.state_change().state()),
                      " attempt ", event.state_change().attempt(), " ",
                      event.state_change().message(),
                      event.state_change().error().message());
    } else if (event.has_progress()) {
      absl::StrAppend(&summary, "step ", event.progress().step());
    } else {
      absl::StrAppend(&summary, event.notice().message());
    }
    absl::StrAppend(&summary, "; ");
  }
  return summary.empty() ? "no event" : summary;
}

}  // namespace attune::integration
