#include "server/jobs/wake_ups.h"

#include <utility>
#include <vector>

namespace attune::server {

WakeUps::Registration WakeUps::Register(std::string_view key,
                                        std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  int64_t id = next_id_++;
  callbacks_[std::string(key)][id] =
      std::make_shared<const std::function<void()>>(std::move(callback));
  keys_[id] = std::string(key);
  return Registration(this, id);
}

void WakeUps::Remove(int64_t id) {
  Callback removed;  // destroyed after the lock is given back
  absl::MutexLock lock(&mutex_);
  auto key = keys_.find(id);
  if (key == keys_.end()) return;
  auto group = callbacks_.find(key->second);
  removed = std::move(group->second[id]);
  group->second.erase(id);
  if (group->second.empty()) callbacks_.erase(group);
  keys_.erase(key);
}

void WakeUps::Fire(std::string_view key) {
  std::vector<Callback> callbacks;
  {
    absl::MutexLock lock(&mutex_);
    auto group = callbacks_.find(key);
    if (group == callbacks_.end()) return;
    for (const auto& [id, callback] : group->second) {
      callbacks.push_back(callback);
    }
  }
  for (const Callback& callback : callbacks) (*callback)();
}

void WakeUps::FireAll() {
  std::vector<Callback> callbacks;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, group] : callbacks_) {
      for (const auto& [id, callback] : group) callbacks.push_back(callback);
    }
  }
  for (const Callback& callback : callbacks) (*callback)();
}

int64_t WakeUps::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(keys_.size());
}

}  // namespace attune::server
