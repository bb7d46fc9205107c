#ifndef ATTUNE_PROTO_CC_CLOCK_H_
#define ATTUNE_PROTO_CC_CLOCK_H_

#include "absl/time/time.h"

namespace attune {

// Where time comes from, so that tests can move it by hand. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time, for people and for what is stored.
  virtual absl::Time Now() const = 0;
  // Time since some fixed moment; never jumps. For leases and durations.
  virtual absl::Duration Monotonic() const = 0;
};

// The machine's clocks.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_CLOCK_H_
