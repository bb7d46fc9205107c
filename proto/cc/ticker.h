#ifndef ATTUNE_PROTO_CC_TICKER_H_
#define ATTUNE_PROTO_CC_TICKER_H_

#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attune {

// Calls a function on a thread of its own, with `interval` between the end of
// one call and the begin of the next. The function must stand being late.
class Ticker {
 public:
  Ticker(absl::Duration interval, std::function<void()> function);
  // Waits for a running call and stops.
  ~Ticker();

 private:
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_TICKER_H_
