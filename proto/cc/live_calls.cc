#include "proto/cc/live_calls.h"

#include "proto/cc/status.h"

namespace attune {
namespace {

absl::Status Draining() {
  return MakeError(Reason::kDraining,
                   "the process is shutting down; call again");
}

}  // namespace

void LiveCalls::Add(const std::shared_ptr<LiveCall>& call) {
  {
    absl::MutexLock lock(&mutex_);
    calls_[call.get()] = call;
    if (!draining_) return;
  }
  call->End(Draining());
}

void LiveCalls::Remove(const LiveCall* call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

void LiveCalls::Tick(absl::Duration now) {
  for (const auto& [key, weak] : Snapshot()) {
    if (const auto call = weak.lock()) call->Tick(now);
  }
}

void LiveCalls::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
  }
  for (const auto& [key, weak] : Snapshot()) {
    if (const auto call = weak.lock()) call->End(Draining());
  }
}

bool LiveCalls::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

size_t LiveCalls::size() const {
  absl::MutexLock lock(&mutex_);
  return calls_.size();
}

std::map<const LiveCall*, std::weak_ptr<LiveCall>> LiveCalls::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

}  // namespace attune
