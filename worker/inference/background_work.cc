#include "worker/inference/background_work.h"

#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/compute_threads.h"

namespace attune::worker {
namespace {

absl::Status WorkerDrains() {
  return MakeError(Reason::kDraining, "the worker is shutting down");
}

}  // namespace

BackgroundWork::BackgroundWork(int max_waiting, ComputeBudget& budget,
                               std::function<std::unique_ptr<Turn>()> make_turn,
                               const Clock& clock)
    : max_places_(1 + max_waiting),
      budget_(budget),
      make_turn_(std::move(make_turn)),
      clock_(clock),
      thread_([this] { Work(); }) {}

BackgroundWork::~BackgroundWork() { Stop(); }

BackgroundWork::Place::~Place() {
  absl::MutexLock lock(&work_.mutex_);
  --work_.num_places_;
}

std::deque<BackgroundWork::Waiting> BackgroundWork::TakeGone() {
  const absl::Time now = clock_.Now();
  std::deque<Waiting> gone;
  std::deque<Waiting> rest;
  for (Waiting& one : waiting_) {
    (one.place->context_->Check(now).ok() ? rest : gone)
        .push_back(std::move(one));
  }
  waiting_ = std::move(rest);
  return gone;
}

absl::StatusOr<std::unique_ptr<BackgroundWork::Place>> BackgroundWork::Admit(
    std::shared_ptr<const CallContext> context) {
  std::deque<Waiting> gone;
  {
    absl::MutexLock lock(&mutex_);
    gone = TakeGone();
  }
  gone.clear();  // gives their places back, which takes the mutex
  if (draining_) return WorkerDrains();
  absl::MutexLock lock(&mutex_);
  if (num_places_ >= max_places_) {
    return MakeError(Reason::kQueueFull,
                     Concat("the worker has ", num_places_,
                            " evaluations, preflights and augmentations "
                            "already: try again when one has ended"));
  }
  ++num_places_;
  return std::unique_ptr<Place>(new Place(*this, std::move(context)));
}

void BackgroundWork::Run(std::unique_ptr<Place> place, Task task) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({std::move(place), std::move(task)});
}

void BackgroundWork::BeginDrain() { draining_ = true; }

void BackgroundWork::Stop() {
  BeginDrain();
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void BackgroundWork::Work() {
  const auto has_news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() || stopped_;
  };
  while (true) {
    Waiting next;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_news));
      if (waiting_.empty()) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (next.place->context_->Check(clock_.Now()).ok()) RunOne(next);
  }
}

void BackgroundWork::RunOne(const Waiting& next) {
  const auto use = budget_.Train();
  const std::unique_ptr<Turn> turn = make_turn_();
  const CallContext& context = *next.place->context_;
  next.task([&]() -> absl::Status {
    if (draining_) return WorkerDrains();
    ATTUNE_RETURN_IF_ERROR(context.Check(clock_.Now()));
    turn->Take();
    SetComputeThreads(budget_.TrainingThreads());
    // The turn may have been long in coming.
    if (draining_) return WorkerDrains();
    return context.Check(clock_.Now());
  });
}

}  // namespace attune::worker
