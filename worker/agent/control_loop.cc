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
      finish_backoff_(options.backoff),
      runner_(std::move(runner)) {}

ControlLoop::~ControlLoop() {
  if (auto running = session()) {
    running->RequestStop(StopCause::kLeaseLost);
  }
}

std::shared_ptr<AttemptSession> ControlLoop::session() const {
  absl::MutexLock lock(&mutex_);
  return session_;
}

bool ControlLoop::has_attempt() const { return session() != nullptr; }

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
  if (auto running = session()) {
    running->RequestStop(StopCause::kDrain);
  }
  stub_.InterruptSynchronize();
}

void ControlLoop::Abandon() {
  if (auto running = session()) {
    running->RequestStop(StopCause::kLeaseLost);
  }
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
  view.gave_up = gave_up_;
  view.next_synchronize = next_synchronize_;
  view.next_finish = next_finish_;
  std::shared_ptr<AttemptSession> running;
  {
    absl::MutexLock lock(&mutex_);
    view.draining = draining_;
    running = session_;
  }
  if (running != nullptr) {
    view.phase = running->phase();
    view.has_outcome = running->outcome().has_value();
    view.checkpoint_unreported = running->checkpoint_unreported();
    view.give_up_at = lease_->give_up_at();
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
      FinishAttempt();
      break;
    case ControlAction::kGiveUp:
      spdlog::warn(
          "{}: the server has not answered for two thirds of the "
          "lease: training stops",
          session()->job());
      gave_up_ = true;
      session()->RequestStop(StopCause::kLeaseLost);
      break;
    case ControlAction::kForget:
      spdlog::warn("{} attempt {} is given up", session()->job(),
                   session()->attempt());
      Forget();
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
  absl::MutexLock lock(&mutex_);
  worker.set_accepts_jobs(!draining_);
  if (session_ != nullptr) {
    *request.mutable_attempt() = session_->Report();
  } else if (registered_ && !draining_) {
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
    TakeFailure(response.status(), request, sent);
  }
}

void ControlLoop::TakeFailure(const absl::Status& status,
                              const v1::SynchronizeRequest& request,
                              absl::Duration sent) {
  {
    absl::MutexLock lock(&mutex_);
    if (draining_ && absl::IsCancelled(status)) {
      return;  // the poll was interrupted
    }
    // A server that is back knows no worker until it registers again.
    registered_ = false;
  }
  server_away_ = true;
  if (const Reason reason = ReasonOf(status); request.has_attempt()) {
    if (reason == Reason::kStorageFull || reason == Reason::kStorageFailure) {
      lease_->Renew(sent);  // the server renews before it stores
    } else if (absl::IsInvalidArgument(status)) {
      // The same report would never be taken.
      session()->DropCheckpoint(request.attempt().checkpoint_digest());
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
  const std::shared_ptr<AttemptSession> running = session();
  if (running == nullptr) {
    // A server that does not wait must not be asked all the time.
    next_synchronize_ = sent + kPollPace;
    if (response.has_assignment()) {
      Begin(response);
    }
    return;
  }
  switch (response.directive()) {
    case v1::SynchronizeResponse::ATTEMPT_DIRECTIVE_CONTINUE:
      lease_->Renew(sent, FromProto(response.lease_duration()));
      running->Acknowledge(request.attempt());
      break;
    case v1::SynchronizeResponse::ATTEMPT_DIRECTIVE_CANCEL:
      lease_->Renew(sent, FromProto(response.lease_duration()));
      running->Acknowledge(request.attempt());
      running->RequestStop(StopCause::kCancel);
      break;
    case v1::SynchronizeResponse::ATTEMPT_DIRECTIVE_ABANDON:
      spdlog::warn("{} attempt {}: the server says the lease is lost",
                   running->job(), running->attempt());
      gave_up_ = true;
      running->RequestStop(StopCause::kLeaseLost);
      if (running->phase() == AttemptPhase::kEnded) {
        Forget();  // its outcome is of no use any more
      }
      break;
    default:
      break;  // no word about the attempt: its lease is not renewed
  }
  next_synchronize_ =
      clock_.Monotonic() +
      std::max(kPollPace, std::min(options_.report_interval,
                                   FromProto(response.next_call())));
}

void ControlLoop::Begin(const v1::SynchronizeResponse& response) {
  const v1::Assignment& assignment = response.assignment();
  spdlog::info(
      "{} attempt {} begins{}", assignment.tuning_job().name(),
      assignment.attempt(),
      assignment.checkpoint_digest().empty() ? "" : " from a checkpoint");
  // An idle call may have waited: the lease counts from its end.
  lease_.emplace(clock_.Monotonic(), FromProto(response.lease_duration()));
  gave_up_ = false;
  next_synchronize_ = clock_.Monotonic();
  next_finish_ = clock_.Monotonic();
  finish_backoff_.Reset();
  auto begun = runner_->Start(assignment, [this] { Wake(); });
  absl::MutexLock lock(&mutex_);
  session_ = begun;
  if (draining_) {
    session_->RequestStop(StopCause::kDrain);
  }
}

void ControlLoop::FinishAttempt() {
  const std::shared_ptr<AttemptSession> running = session();
  const absl::Status status =
      stub_.FinishAttempt(*running->outcome(), options_.call_timeout);
  if (IsTransient(status)) {
    const absl::Duration wait = finish_backoff_.Next(uniform_());
    spdlog::warn("{}; trying again in {}", status.ToString(),
                 absl::FormatDuration(wait));
    next_finish_ = clock_.Monotonic() + wait;
    return;
  }
  if (status.ok()) {
    spdlog::info("{} attempt {} has ended", running->job(), running->attempt());
  } else {
    spdlog::error("{} attempt {}: the server refused its end: {}",
                  running->job(), running->attempt(), status.ToString());
    if (running->outcome()->has_succeeded() && IsFinalRefusal(status)) {
      running->End(MakeOutcome(*running, status));
      return;
    }
  }
  Forget();
}

void ControlLoop::Forget() {
  {
    absl::MutexLock lock(&mutex_);
    session_.reset();
  }
  lease_.reset();
  gave_up_ = false;
  next_synchronize_ = clock_.Monotonic();
}

}  // namespace attune::worker
