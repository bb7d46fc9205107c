#include "worker/agent/attempt_session.h"

#include <algorithm>
#include <utility>

#include "worker/models/compute_threads.h"
#include "worker/prompts/stable_json.h"

namespace attune::worker {
namespace {

// The server takes no more in one report.
constexpr int kMaxNotices = 32;

}  // namespace

AttemptSession::AttemptSession(v1::Assignment assignment, ComputeBudget& budget,
                               TrainingTurns& turns, TrainMetrics& metrics,
                               std::function<void()> wake)
    : assignment_(std::move(assignment)),
      budget_(budget),
      metrics_(metrics),
      wake_(std::move(wake)),
      place_(turns) {
  absl::MutexLock lock(&mutex_);
  state_.set_tuning_job(job());
  state_.set_attempt(attempt());
  state_.mutable_progress()->set_phase(
      attune::v1::TuningProgress::PHASE_PREPARING);
}

void AttemptSession::OnResolvedSpec(const attune::v1::TuningJobSpec& spec) {
  absl::MutexLock lock(&mutex_);
  *state_.mutable_resolved_spec() = spec;
}

void AttemptSession::OnProgress(const attune::v1::TuningProgress& progress) {
  // What a step takes is told without the turns of other jobs.
  const absl::Duration now = place_.used();
  if (counting_) {
    metrics_.CountProgress(counted_, progress, now - counted_at_);
  }
  counting_ = true;
  counted_at_ = now;
  counted_ = progress;
  absl::MutexLock lock(&mutex_);
  *state_.mutable_progress() = progress;
}

void AttemptSession::OnNotice(std::string message) {
  {
    absl::MutexLock lock(&mutex_);
    if (state_.notices_size() < kMaxNotices) {
      state_.add_notices(std::move(message));
    }
  }
  wake_();
}

void AttemptSession::OnCheckpoint(Artifact checkpoint, int step) {
  absl::MutexLock lock(&mutex_);
  if (stop_ != StopCause::kLeaseLost) {
    pending_ = PendingCheckpoint{std::move(checkpoint), step};
  }
}

bool AttemptSession::StopRequested() {
  return stop_cause() != StopCause::kNone;
}

void AttemptSession::BeforeStep() {
  place_.Take();
  SetComputeThreads(budget_.TrainingThreads());
}

bool AttemptSession::WaitForStop(absl::Duration duration, bool lease_only) {
  absl::MutexLock lock(&mutex_);
  const auto stopped = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return lease_only ? stop_ == StopCause::kLeaseLost
                      : stop_ != StopCause::kNone;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&stopped), duration);
}

StopCause AttemptSession::stop_cause() const {
  absl::MutexLock lock(&mutex_);
  return stop_;
}

void AttemptSession::RequestStop(StopCause cause) {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = std::max(stop_, cause);
  }
  place_.Hurry();
}

std::optional<PendingCheckpoint> AttemptSession::WaitForCheckpoint() {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || pending_.has_value();
  };
  mutex_.Await(absl::Condition(&ready));
  return std::exchange(pending_, std::nullopt);
}

bool AttemptSession::has_newer_checkpoint() const {
  absl::MutexLock lock(&mutex_);
  return pending_.has_value();
}

void AttemptSession::CheckpointStored(const std::string& digest, int step) {
  {
    absl::MutexLock lock(&mutex_);
    state_.set_checkpoint_digest(digest);
    state_.set_checkpoint_step(step);
  }
  wake_();
}

void AttemptSession::CloseCheckpoints(bool keep_last) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  if (!keep_last) {
    pending_.reset();
  }
}

void AttemptSession::BeginPublishing() {
  absl::MutexLock lock(&mutex_);
  phase_ = AttemptPhase::kPublishing;
  state_.mutable_progress()->set_phase(
      attune::v1::TuningProgress::PHASE_UPLOADING);
}

void AttemptSession::End(std::optional<v1::FinishAttemptRequest> outcome) {
  {
    absl::MutexLock lock(&mutex_);
    phase_ = AttemptPhase::kEnded;
    outcome_ = std::move(outcome);
  }
  wake_();
}

AttemptPhase AttemptSession::phase() const {
  absl::MutexLock lock(&mutex_);
  return phase_;
}

std::optional<v1::FinishAttemptRequest> AttemptSession::outcome() const {
  absl::MutexLock lock(&mutex_);
  return outcome_;
}

v1::AttemptState AttemptSession::Report() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void AttemptSession::Acknowledge(const v1::AttemptState& report) {
  absl::MutexLock lock(&mutex_);
  reported_digest_ = report.checkpoint_digest();
  if (report.has_resolved_spec() && StableBytes(report.resolved_spec()) ==
                                        StableBytes(state_.resolved_spec())) {
    state_.clear_resolved_spec();  // it may be large, and is known now
  }
  // Notices are only added at the end, so the reported ones come first.
  state_.mutable_notices()->DeleteSubrange(0, report.notices_size());
}

void AttemptSession::DropCheckpoint(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  if (state_.checkpoint_digest() == digest) {
    state_.clear_checkpoint_digest();
    state_.clear_checkpoint_step();
    reported_digest_.clear();
  }
}

bool AttemptSession::checkpoint_unreported() const {
  absl::MutexLock lock(&mutex_);
  return state_.checkpoint_digest() != reported_digest_;
}

}  // namespace attune::worker
