#ifndef ATTUNE_CLIENT_CONNECTION_INTERRUPT_H_
#define ATTUNE_CLIENT_CONNECTION_INTERRUPT_H_

#include <functional>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attune::client {

// The wish of the person at the terminal to stop. main.cc raises it when a
// signal comes; calls that run or wait register what must be stopped. Owned by
// main.cc. Thread-safe.
class Interrupt {
 public:
  // Keeps a callback registered while it lives.
  class Registration {
   public:
    ~Registration();
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    friend class Interrupt;
    Registration(Interrupt& interrupt, std::function<void()> stop);
    Interrupt& interrupt_;
    std::list<std::function<void()>>::iterator place_;
  };

  // Runs every registered callback and ends every WaitFor. Returns whether
  // there was any: if not, nobody is going to react.
  bool Raise();

  bool raised() const;

  // Runs `stop` when the interrupt is raised, at once if it already is. `stop`
  // is called with a lock held: it must not block or call back.
  Registration OnRaise(std::function<void()> stop);

  // Waits for `duration`. False when the interrupt was raised meanwhile.
  bool WaitFor(absl::Duration duration);

 private:
  mutable absl::Mutex mutex_;
  bool raised_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<std::function<void()>> stops_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_CONNECTION_INTERRUPT_H_
