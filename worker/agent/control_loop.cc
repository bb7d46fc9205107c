#include "worker/agent/control_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

constexpr int kMaxWarmArtifacts = 1000;
// Between two calls that are answered at once, at least.
constexpr absl::Duration kPollPace = absl::Milliseconds(200);
// Of the resolved specs in one report, beyond the first: they may list many
// demonstrations, and the server takes messages of 4 MiB.
constexpr size_t kMaxSpecBytes = size_t{2} << 20;

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

// Whether the server would refuse the result of another try, too: then the job
// must fail, or it would be tried again without end. A lost lease ends the
// attempt; a lost artifact is made and stored anew.
bool IsFinalRefusal(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  return reason != Reason::kLeaseLost && reason != Reason::kCorruptArtifact &&
         reason != Reason::kResourceNotFound;
}

void SetProto(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(duration));
  proto->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
}

}  // namespace

ControlLoop::ControlLoop(const Options& options, Host host, ServerStub& stub,
                         std::unique_ptr<AttemptRunner> runner,
                         const Clock& clock, std::function<double()> uniform)
    : options_(options),
      host_(std::move(host)),
      stub_(stub),
      clock_(clock),
      uniform_(std::move(uniform)),
      synchronize_backoff_(options.backoff),
      runner_(std::move(runner)) {}

ControlLoop::~ControlLoop() { StopAll(StopCause::kLeaseLost); }

void ControlLoop::StopAll(StopCause cause) {
  absl::MutexLock lock(&mutex_);
  for (const auto& session : sessions_) {
    session->RequestStop(cause);
  }
}

int ControlLoop::num_attempts() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(sessions_.size());
}

void ControlLoop::Run() {
  while (const std::optional<absl::Duration> until = Step()) {
    absl::MutexLock lock(&mutex_);
    const auto woken = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return woken_ || abandoned_;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&woken),
                            *until - clock_.Monotonic());
    if (abandoned_) {
      return;
    }
    woken_ = false;
  }
}

void ControlLoop::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void ControlLoop::RequestDrain() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    woken_ = true;
  }
  StopAll(StopCause::kDrain);
  stub_.InterruptSynchronize();
}

void ControlLoop::Abandon() {
  StopAll(StopCause::kLeaseLost);
  absl::MutexLock lock(&mutex_);
  abandoned_ = true;
}

bool ControlLoop::WaitRegistered(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&registered_), limit);
}

bool ControlLoop::WaitDrained(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&drained_), limit);
}

ControlView ControlLoop::View() const {
  ControlView view;
  view.now = clock_.Monotonic();
  view.drain_reported = drain_reported_;
  view.server_away = server_away_;
  view.next_synchronize = next_synchronize_;
  {
    absl::MutexLock lock(&mutex_);
    view.draining = draining_;
  }
  for (const Held& held : held_) {
    AttemptView& attempt = view.attempts.emplace_back();
    attempt.phase = held.session->phase();
    attempt.has_outcome = held.session->outcome().has_value();
    attempt.checkpoint_unreported = held.session->checkpoint_unreported();
    attempt.give_up_at = held.lease.give_up_at();
    attempt.gave_up = held.gave_up;
    attempt.next_finish = held.next_finish;
  }
  return view;
}

std::optional<absl::Duration> ControlLoop::Step() {
  const ControlDecision decision = Decide(View());
  switch (decision.action) {
    case ControlAction::kSynchronize:
      Synchronize();
      break;
    case ControlAction::kFinishAttempt:
      FinishAttempt(decision.attempt);
      break;
    case ControlAction::kGiveUp:
      GiveUp(decision.attempt);
      break;
    case ControlAction::kForget:
      spdlog::warn("{} attempt {} is given up",
                   held_[decision.attempt].session->job(),
                   held_[decision.attempt].session->attempt());
      Forget(decision.attempt);
      break;
    case ControlAction::kWait:
      return decision.until;
    case ControlAction::kExit: {
      absl::MutexLock lock(&mutex_);
      drained_ = true;
      return std::nullopt;
    }
  }
  return clock_.Monotonic();
}

v1::SynchronizeRequest ControlLoop::MakeRequest() const {
  v1::SynchronizeRequest request;
  v1::WorkerState& worker = *request.mutable_worker();
  worker.set_id(options_.worker_id);
  worker.set_instance_id(options_.instance_id);
  worker.set_engine_address(options_.engine_address);
  worker.set_version(options_.version);
  for (attune::v1::Model& model : host_.models()) {
    *worker.add_models() = std::move(model);
  }
  for (std::string& digest : host_.warm_artifacts()) {
    if (worker.warm_artifacts_size() < kMaxWarmArtifacts) {
      worker.add_warm_artifacts(std::move(digest));
    }
  }
  worker.set_num_waiting_requests(host_.num_waiting_requests());
  size_t spec_bytes = 0;
  for (const Held& held : held_) {
    v1::AttemptState& attempt = *request.add_attempts();
    attempt = held.session->Report();
    const size_t bytes = attempt.resolved_spec().ByteSizeLong();
    if (spec_bytes > 0 && spec_bytes + bytes > kMaxSpecBytes) {
      attempt.clear_resolved_spec();  // it comes with a later report
    } else {
      spec_bytes += bytes;
    }
  }
  absl::MutexLock lock(&mutex_);
  worker.set_accepts_jobs(!draining_);
  worker.set_free_job_slots(
      draining_
          ? 0
          : std::max(0, options_.max_jobs - static_cast<int>(held_.size())));
  if (held_.empty() && registered_ && !draining_) {
    // The first call registers and must not wait.
    SetProto(options_.poll_wait, request.mutable_wait_duration());
  }
  return request;
}

void ControlLoop::Synchronize() {
  const v1::SynchronizeRequest request = MakeRequest();
  const absl::Duration sent = clock_.Monotonic();
  const absl::StatusOr<v1::SynchronizeResponse> response = stub_.Synchronize(
      request, options_.call_timeout + FromProto(request.wait_duration()));
  if (response.ok()) {
    Acknowledge(*response, request, sent);
  } else {
    TakeFailure(response.status(), sent);
  }
}

void ControlLoop::TakeFailure(const absl::Status& status, absl::Duration sent) {
  {
    absl::MutexLock lock(&mutex_);
    if (draining_ && absl::IsCancelled(status)) {
      return;  // the poll was interrupted
    }
    // A server that is back knows no worker until it registers again.
    registered_ = false;
  }
  server_away_ = true;
  const Reason reason = ReasonOf(status);
  if (reason == Reason::kStorageFull || reason == Reason::kStorageFailure) {
    for (Held& held : held_) {
      held.lease.Renew(sent);  // the server renews before it stores
    }
  }
  const absl::Duration wait = synchronize_backoff_.Next(uniform_());
  spdlog::warn("{}; trying again in {}", status.ToString(),
               absl::FormatDuration(wait));
  next_synchronize_ = clock_.Monotonic() + wait;
}

void ControlLoop::Acknowledge(const v1::SynchronizeResponse& response,
                              const v1::SynchronizeRequest& request,
                              absl::Duration sent) {
  synchronize_backoff_.Reset();
  drain_reported_ = !request.worker().accepts_jobs();
  server_away_ = false;
  {
    absl::MutexLock lock(&mutex_);
    registered_ = true;
  }
  if (request.attempts_size() == 0) {
    // A server that does not wait must not be asked all the time.
    next_synchronize_ = sent + kPollPace;
  } else {
    next_synchronize_ =
        clock_.Monotonic() +
        std::max(kPollPace, std::min(options_.report_interval,
                                     FromProto(response.next_call())));
  }
  // An attempt without a word: its lease is not renewed.
  const int count =
      std::min(response.directives_size(), request.attempts_size());
  for (int i = 0; i < count; ++i) {
    Obey(response.directives(i), request.attempts(i), sent,
         FromProto(response.lease_duration()));
  }
  if (response.has_assignment()) {
    Begin(response);
  }
}

void ControlLoop::Obey(const v1::AttemptDirective& directive,
                       const v1::AttemptState& report, absl::Duration sent,
                       absl::Duration lease) {
  const auto found =
      std::find_if(held_.begin(), held_.end(), [&](const Held& held) {
        return held.session->job() == report.tuning_job() &&
               held.session->attempt() == report.attempt();
      });
  if (found == held_.end() || directive.tuning_job() != report.tuning_job() ||
      directive.attempt() != report.attempt()) {
    return;
  }
  AttemptSession& session = *found->session;
  switch (directive.action()) {
    case v1::AttemptDirective::ACTION_CONTINUE:
    case v1::AttemptDirective::ACTION_CANCEL:
      found->lease.Renew(sent, lease);
      session.Acknowledge(report);
      if (directive.checkpoint_unknown()) {
        // The same report would never be taken.
        session.DropCheckpoint(report.checkpoint_digest());
      }
      if (directive.action() == v1::AttemptDirective::ACTION_CANCEL) {
        session.RequestStop(StopCause::kCancel);
      }
      break;
    case v1::AttemptDirective::ACTION_ABANDON:
      spdlog::warn("{} attempt {}: the server says the lease is lost",
                   session.job(), session.attempt());
      found->gave_up = true;
      session.RequestStop(StopCause::kLeaseLost);
      if (session.phase() == AttemptPhase::kEnded) {
        // Its outcome is of no use any more.
        Forget(static_cast<size_t>(found - held_.begin()));
      }
      break;
    default:
      break;
  }
}

void ControlLoop::Begin(const v1::SynchronizeResponse& response) {
  const v1::Assignment& assignment = response.assignment();
  spdlog::info(
      "{} attempt {} begins{}", assignment.tuning_job().name(),
      assignment.attempt(),
      assignment.checkpoint_digest().empty() ? "" : " from a checkpoint");
  // An idle call may have waited: the lease counts from its end.
  const absl::Duration now = clock_.Monotonic();
  next_synchronize_ = now;
  auto begun = runner_->Start(assignment, [this] { Wake(); });
  held_.push_back({begun,
                   AttemptLease(now, FromProto(response.lease_duration())),
                   Backoff(options_.backoff), now});
  absl::MutexLock lock(&mutex_);
  sessions_.push_back(begun);
  if (draining_) {
    begun->RequestStop(StopCause::kDrain);
  }
}

void ControlLoop::GiveUp(size_t index) {
  Held& held = held_[index];
  spdlog::warn(
      "{}: the server has not answered for two thirds of the lease: training "
      "stops",
      held.session->job());
  held.gave_up = true;
  held.session->RequestStop(StopCause::kLeaseLost);
}

void ControlLoop::FinishAttempt(size_t index) {
  Held& held = held_[index];
  AttemptSession& session = *held.session;
  const absl::Status status =
      stub_.FinishAttempt(*session.outcome(), options_.call_timeout);
  if (IsTransient(status)) {
    const absl::Duration wait = held.finish_backoff.Next(uniform_());
    spdlog::warn("{}; trying again in {}", status.ToString(),
                 absl::FormatDuration(wait));
    held.next_finish = clock_.Monotonic() + wait;
    return;
  }
  if (status.ok()) {
    spdlog::info("{} attempt {} has ended", session.job(), session.attempt());
  } else {
    spdlog::error("{} attempt {}: the server refused its end: {}",
                  session.job(), session.attempt(), status.ToString());
    if (session.outcome()->has_succeeded() && IsFinalRefusal(status)) {
      session.End(MakeOutcome(session, status));
      return;
    }
  }
  Forget(index);
}

void ControlLoop::Forget(size_t index) {
  {
    absl::MutexLock lock(&mutex_);
    sessions_.erase(
        std::find(sessions_.begin(), sessions_.end(), held_[index].session));
  }
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
  next_synchronize_ = clock_.Monotonic();  // the slot is free
}

}  // namespace attune::worker
