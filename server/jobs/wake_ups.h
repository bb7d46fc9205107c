#ifndef ATTUNE_SERVER_JOBS_WAKE_UPS_H_
#define ATTUNE_SERVER_JOBS_WAKE_UPS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/jobs/registration.h"

namespace attune::server {

// Callbacks by key, to be told that something changed. A hint, not the truth:
// register first, then look. Thread-safe; callbacks run on the thread that
// fires, with no lock held, and must not block.
class WakeUps {
 public:
  // Ends when destroyed or Reset. A callback that began before may still be
  // running then, so it should hold what it uses by shared or weak pointer.
  using Registration = server::Registration<WakeUps>;

  // Calls `callback` each time `key` fires. Must not outlive this.
  [[nodiscard]] Registration Register(std::string_view key,
                                      std::function<void()> callback);
  void Fire(std::string_view key);
  // Calls everything; for the end of the process.
  void FireAll();
  int64_t size() const;

 private:
  friend Registration;
  using Callback = std::shared_ptr<const std::function<void()>>;
  void Remove(int64_t id);

  mutable absl::Mutex mutex_;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::map<int64_t, Callback>, std::less<>> callbacks_
      ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, std::string> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_WAKE_UPS_H_
