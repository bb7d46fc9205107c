#include "server/api/watch_call.h"

#include <memory>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status_macros.h"
#include "server/api/unsupported.h"
#include "server/jobs/job_manager.h"

namespace attune::server {
namespace {

constexpr int kEventsPerRead = 64;

}  // namespace

WatchCall::WatchCall(const ApiHost& host, JobManager& jobs,
                     Metrics::Gauge watch_streams,
                     const v1::WatchTuningJobRequest& request)
    : StreamWriter(host.ControlStream()),
      jobs_(jobs),
      heartbeat_(host.heartbeat),
      watch_streams_(watch_streams),
      request_(request) {
  watch_streams_.Add(1);
}

WatchCall::~WatchCall() { watch_streams_.Add(-1); }

absl::Status WatchCall::Open() {
  ATTUNE_RETURN_IF_ERROR(CheckSupported(request_));
  ATTUNE_ASSIGN_OR_RETURN(
      job_id_, ParseResourceName(kJobCollection, request_.name(), "name"));
  cursor_ = request_.after_sequence();
  registration_ = jobs_.OnJobChange(job_id_, [weak = weak_from_this()] {
    if (const auto call = weak.lock()) call->Wake();
  });
  return absl::OkStatus();
}

absl::Status WatchCall::Load() {
  ATTUNE_ASSIGN_OR_RETURN(JobEvents news,
                          jobs_.EventsAfter(job_id_, cursor_, kEventsPerRead));
  pending_.assign(std::make_move_iterator(news.events.begin()),
                  std::make_move_iterator(news.events.end()));
  last_sequence_ = news.last_sequence;
  ended_ = news.ended;
  return absl::OkStatus();
}

WatchCall::Next WatchCall::Make(v1::WatchTuningJobResponse* message,
                                absl::Status* status) {
  if (!begun_) {
    begun_ = true;
    *status = Open();
    if (!status->ok()) return Next::kEnd;
  }
  if (pending_.empty() && !ended_) {
    *status = Load();
    if (!status->ok()) return Next::kEnd;
  }
  if (!pending_.empty()) {
    message->mutable_event()->Swap(&pending_.front());
    pending_.pop_front();
    cursor_ = message->event().sequence();
  } else if (ended_) {
    return Next::kEnd;
  } else if (heartbeat_due_.exchange(false)) {
    message->set_heartbeat_sequence(last_sequence_);
  } else {
    return Next::kWait;
  }
  sent_ = true;
  return Next::kTransfer;
}

bool WatchCall::WantsStep(absl::Duration now) {
  if (sent_.exchange(false)) last_sent_ = now;
  if (now - last_sent_ < heartbeat_) return false;
  last_sent_ = now;
  heartbeat_due_ = true;
  return true;
}

}  // namespace attune::server
