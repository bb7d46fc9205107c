#ifndef ATTUNE_PROTO_CC_SHUTDOWN_H_
#define ATTUNE_PROTO_CC_SHUTDOWN_H_

#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attune {

// Tells an ordinary thread of SIGTERM and SIGINT. The handler only writes to a
// descriptor and steps aside, which is all that a handler may do: a second
// signal of either kind ends the process at once. One per process, made before
// other threads.
class ShutdownSignal {
 public:
  ShutdownSignal();
  ~ShutdownSignal();
  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // Blocks until a signal comes or Trigger is called, or for `limit`. True
  // when it came.
  bool Wait(absl::Duration limit = absl::InfiniteDuration());
  // As if a signal had come.
  void Trigger();

 private:
  int event_;  // an eventfd, readable from the first signal on
};

// Ends the process with _exit(exit_code) and one line on stderr when it still
// lives after `limit`: a drain must never hang.
class Watchdog {
 public:
  Watchdog(absl::Duration limit, int exit_code, std::string what);
  // Calls it off.
  ~Watchdog();

 private:
  absl::Notification done_;
  std::thread thread_;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_SHUTDOWN_H_
