#ifndef ATTUNE_TESTS_TESTING_FAKE_CLOCK_H_
#define ATTUNE_TESTS_TESTING_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"

namespace attune {

// A clock that moves only when told to. Begins at 2024-01-01T00:00:00Z and
// 1,000 s. Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;

  // Moves both.
  void Advance(absl::Duration duration);
  // Moves the wall clock only, as an operator would.
  void JumpWallClock(absl::Duration duration);

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1704067200);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1000);
};

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_FAKE_CLOCK_H_
