#ifndef ATTUNE_SERVER_API_MESSAGE_RELAY_H_
#define ATTUNE_SERVER_API_MESSAGE_RELAY_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "proto/cc/stream_call.h"

namespace attune::server {

// Hands what a worker streams to the client's stream, one message at a time:
// the next one is read when the last has been taken, so a slow client slows the
// worker. Part of the reactor of the worker's call, which passes itself and
// what gRPC tells it. Thread-safe.
template <typename Message>
class MessageRelay {
 public:
  // Begins to read; once, when the call is bound. client: woken whenever there
  // is something to take.
  template <typename Reactor>
  void Begin(Reactor& reactor, std::weak_ptr<StreamCall> client) {
    client_ = std::move(client);
    // Held until the reads are over, so that Take may always read.
    reactor.AddHold();
    reactor.StartRead(&incoming_);
  }

  // What OnReadDone was told.
  template <typename Reactor>
  void ReadDone(Reactor& reactor, bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) return reactor.RemoveHold();  // the call's end follows
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) return reactor.StartRead(&incoming_);
      has_message_ = true;
    }
    Tell();
  }

  // The call is over, with what it came to.
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
      status_ = status;
    }
    Tell();
  }

  // Nobody takes messages any more; also before Begin.
  template <typename Reactor>
  void Stop(Reactor& reactor) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (std::exchange(has_message_, false)) reactor.StartRead(&incoming_);
  }

  // What is there: a message (then the next one is asked for), the end, or
  // nothing yet.
  template <typename Reactor>
  StreamCall::Next Take(Reactor& reactor, Message* message,
                        absl::Status* status) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!has_message_) {
      if (!ended_) return StreamCall::Next::kWait;
      *status = status_;
      return StreamCall::Next::kEnd;
    }
    has_message_ = false;
    message->Swap(&incoming_);
    reactor.StartRead(&incoming_);
    return StreamCall::Next::kTransfer;
  }

 private:
  void Tell() {
    if (const auto client = client_.lock()) client->Wake();
  }

  std::weak_ptr<StreamCall> client_;  // as Begin had it
  absl::Mutex mutex_;
  // gRPC's between StartRead and ReadDone, ours while has_message_.
  Message incoming_;
  bool has_message_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_MESSAGE_RELAY_H_
