#include "worker/agent/training_turns.h"

#include <algorithm>
#include <tuple>

#include "worker/models/compute_threads.h"

namespace attune::worker {

void TrainingTurns::Place::Take() {
  TrainingTurns& turns = turns_;
  absl::MutexLock lock(&turns.mutex_);
  if (!joined_) turns.Join(*this);
  joined_ = true;
  if (turns.holder_ == this) {
    if (!turns.MustPassOn()) return;
    // Before another one begins: an idle team counts among the threads that
    // fight for the cores.
    turns.mutex_.Unlock();
    ReleaseComputeThreads();
    turns.mutex_.Lock();
    turns.EndTurn();
  }
  ticket_ = ++turns.last_ticket_;
  if (turns.holder_ == nullptr) turns.BeginTurn(turns.Next());
  const auto mine = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return turns_.holder_ == this;
  };
  turns.mutex_.Await(absl::Condition(&mine));
}

void TrainingTurns::Place::Leave() {
  if (!joined_) return;
  joined_ = false;
  TrainingTurns& turns = turns_;
  absl::MutexLock lock(&turns.mutex_);
  if (turns.holder_ == this) {
    turns.mutex_.Unlock();
    ReleaseComputeThreads();
    turns.mutex_.Lock();
    turns.EndTurn();
  }
  turns.places_.erase(
      std::find(turns.places_.begin(), turns.places_.end(), this));
  if (turns.holder_ == nullptr) turns.BeginTurn(turns.Next());
}

void TrainingTurns::Place::Hurry() {
  absl::MutexLock lock(&turns_.mutex_);
  hurries_ = true;
}

absl::Duration TrainingTurns::Place::used() const {
  absl::MutexLock lock(&turns_.mutex_);
  return turns_.TimeOf(*this) - credit_;
}

int TrainingTurns::num_waiting() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(
      std::count_if(places_.begin(), places_.end(),
                    [](const Place* place) { return place->ticket_ != 0; }));
}

absl::Duration TrainingTurns::TimeOf(const Place& place) const {
  return holder_ == &place ? place.charged_ + (clock_.Monotonic() - turn_began_)
                           : place.charged_;
}

TrainingTurns::Place* TrainingTurns::Next() const {
  const auto order = [](const Place& place) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return std::make_tuple(!place.hurries_, place.charged_, place.ticket_);
  };
  Place* next = nullptr;
  for (Place* place : places_) {
    if (place->ticket_ == 0) continue;
    if (next == nullptr || order(*place) < order(*next)) next = place;
  }
  return next;
}

void TrainingTurns::Join(Place& place) {
  absl::Duration least = absl::InfiniteDuration();
  for (const Place* other : places_) least = std::min(least, TimeOf(*other));
  place.credit_ = places_.empty() ? absl::ZeroDuration() : least;
  place.charged_ = place.credit_;
  places_.push_back(&place);
}

bool TrainingTurns::MustPassOn() const {
  if (clock_.Monotonic() - turn_began_ < least_turn_) return false;
  const Place* next = Next();
  // With the same time the turn goes round.
  return next != nullptr &&
         (next->hurries_ || next->charged_ <= TimeOf(*holder_));
}

void TrainingTurns::EndTurn() {
  holder_->charged_ = TimeOf(*holder_);
  holder_ = nullptr;
}

void TrainingTurns::BeginTurn(Place* place) {
  holder_ = place;
  if (place == nullptr) return;
  place->ticket_ = 0;
  turn_began_ = clock_.Monotonic();
}

}  // namespace attune::worker
