#include "proto/cc/stream_call.h"

#include <algorithm>

namespace attune {

void StreamCall::Start() {
  self_ = shared_from_this();
  {
    // Before anybody knows of the call: a tick must not come before its first
    // step.
    absl::MutexLock lock(&mutex_);
    running_ = true;
  }
  host_.live_calls->Add(self_);
  Schedule();
}

void StreamCall::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    woken_ = running_ || transfer_;
    if (woken_) return;
    running_ = true;
  }
  Schedule();
}

void StreamCall::Schedule() {
  if (host_.executor == nullptr) return Run();
  if (host_.executor->Post([call = shared_from_this()] { call->Run(); })) {
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (FinishIfEnded()) return;
    running_ = false;
  }
  End(MakeError(Reason::kDraining, "the process is shutting down"));
}

void StreamCall::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (FinishIfEnded()) return;
      woken_ = false;
    }
    absl::Status status;
    const Next next = Step(&status);
    absl::MutexLock lock(&mutex_);
    if (FinishIfEnded()) return;
    if (next == Next::kWait && woken_) continue;
    running_ = false;
    if (next == Next::kTransfer) {
      transfer_ = true;
      transfer_seen_ = absl::InfiniteDuration();
      // Under the lock: no transfer may begin after Finish.
      Transfer();
    }
    if (next != Next::kEnd) return;
    ended_ = true;
    FinishCall(ToGrpcStatus(status));
    break;
  }
  OnEnded();
}

bool StreamCall::FinishIfEnded() {
  if (!ended_) return false;
  running_ = false;
  FinishCall(ToGrpcStatus(end_status_));
  return true;
}

void StreamCall::TransferDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    transfer_ = false;
    if (ended_) return;
    running_ = ok;
  }
  if (ok) return Schedule();
  End(absl::CancelledError("the client is gone"));
}

void StreamCall::ReadEnded() {
  absl::MutexLock lock(&mutex_);
  if (!ended_) ConfirmEnd();
}

void StreamCall::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    end_status_ = status;
    // A step that is queued or runs finishes the call when it is over.
    if (!running_) FinishCall(ToGrpcStatus(status));
  }
  OnEnded();
}

void StreamCall::Tick(absl::Duration now) {
  bool stalled = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (transfer_) {
      transfer_seen_ = std::min(transfer_seen_, now);
      stalled = now - transfer_seen_ >= host_.stall_limit;
    }
    if (!stalled && (transfer_ || running_)) return;
  }
  if (stalled) {
    End(MakeError(Reason::kWatchTooSlow,
                  "the client did not read or write for " +
                      absl::FormatDuration(host_.stall_limit) +
                      "; call again and go on from the last message"));
  } else if (WantsStep(now)) {
    Wake();
  }
}

void StreamCall::Done() {
  host_.live_calls->Remove(this);
  self_.reset();
}

}  // namespace attune
