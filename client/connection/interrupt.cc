#include "client/connection/interrupt.h"

#include <utility>

namespace attune::client {

Interrupt::Registration::Registration(Interrupt& interrupt,
                                      std::function<void()> stop)
    : interrupt_(interrupt) {
  absl::MutexLock lock(&interrupt_.mutex_);
  if (interrupt_.raised_) {
    stop();
  }
  interrupt_.stops_.push_back(std::move(stop));
  place_ = std::prev(interrupt_.stops_.end());
}

Interrupt::Registration::~Registration() {
  absl::MutexLock lock(&interrupt_.mutex_);
  interrupt_.stops_.erase(place_);
}

bool Interrupt::Raise() {
  absl::MutexLock lock(&mutex_);
  raised_ = true;
  for (const std::function<void()>& stop : stops_) {
    stop();
  }
  return !stops_.empty() || waiting_ > 0;
}

bool Interrupt::raised() const {
  absl::MutexLock lock(&mutex_);
  return raised_;
}

Interrupt::Registration Interrupt::OnRaise(std::function<void()> stop) {
  return Registration(*this, std::move(stop));
}

bool Interrupt::WaitFor(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  ++waiting_;
  const bool raised =
      mutex_.AwaitWithTimeout(absl::Condition(&raised_), duration);
  --waiting_;
  return !raised;
}

}  // namespace attune::client
