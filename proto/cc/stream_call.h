#ifndef ATTUNE_PROTO_CC_STREAM_CALL_H_
#define ATTUNE_PROTO_CC_STREAM_CALL_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/server_callback.h"
#include "proto/cc/executor.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/status.h"

namespace attune {

// What a stream needs of its process.
struct StreamHost {
  // Runs the steps. Null runs them where they are woken: for steps that never
  // wait.
  Executor* executor;
  LiveCalls* live_calls;
  // A read or write that takes longer ends the call.
  absl::Duration stall_limit = absl::Seconds(60);
};

// The part that reading and writing streams share: steps that never overlap,
// one read or write at a time, one Finish, never while a step runs (so request
// and context stay valid in it). It owns itself from Start until gRPC is done
// with it. Derive from StreamWriter or StreamReader.
class StreamCall : public LiveCall,
                   public std::enable_shared_from_this<StreamCall> {
 public:
  // What a step came to.
  enum class Next { kTransfer, kWait, kEnd };

  // Ends the call with `status` unless it has ended.
  void End(const absl::Status& status) final ABSL_LOCKS_EXCLUDED(mutex_);
  void Tick(absl::Duration now) final ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs a step when the stream is idle, else after what it does now. Any
  // thread; the way to tell a waiting stream that there is news.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  explicit StreamCall(const StreamHost& host) : host_(host) {}

  void Start() ABSL_LOCKS_EXCLUDED(mutex_);
  // The read or write is over; after a failed one the call ends.
  void TransferDone(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  // The client sends no more: asks gRPC by ConfirmEnd whether it is still
  // there.
  void ReadEnded() ABSL_LOCKS_EXCLUDED(mutex_);
  void Done();

  // On the executor, never at the same time twice: kTransfer to begin
  // Transfer(), kEnd to Finish(*status).
  virtual Next Step(absl::Status* status) = 0;
  // Begins the read or write that Step prepared. Must not wait.
  virtual void Transfer() = 0;
  virtual void ConfirmEnd() {}
  virtual void FinishCall(const grpc::Status& status) = 0;
  // Once, when the call has ended for whatever reason, maybe while a step still
  // runs. Any thread; must not wait.
  virtual void OnEnded() {}
  // Every tick of an idle stream: true runs a step.
  virtual bool WantsStep(absl::Duration /*now*/) { return false; }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  void Schedule() ABSL_LOCKS_EXCLUDED(mutex_);
  bool FinishIfEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StreamHost host_;
  std::shared_ptr<StreamCall> self_;  // from Start to Done
  absl::Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;  // a step is queued or runs
  bool transfer_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
  // When the transfer was first seen by Tick.
  absl::Duration transfer_seen_ ABSL_GUARDED_BY(mutex_) =
      absl::InfiniteDuration();
};

// A stream to the client. Each step makes the next message, from a cursor of
// the derived class, so nothing queues up for a slow reader.
template <typename Response>
class StreamWriter : public grpc::ServerWriteReactor<Response>,
                     public StreamCall {
 public:
  // Makes the call and begins it; the result is what the service returns.
  template <typename Call, typename... Args>
  static Call* Begin(Args&&... args) {
    auto call = std::make_shared<Call>(std::forward<Args>(args)...);
    call->Start();
    return call.get();
  }

 protected:
  using StreamCall::StreamCall;

  // On the executor: kTransfer with a message, kWait until Wake, kEnd with a
  // status.
  virtual Next Make(Response* message, absl::Status* status) = 0;

 private:
  Next Step(absl::Status* status) final {
    message_.Clear();
    return Make(&message_, status);
  }
  void Transfer() final { this->StartWrite(&message_); }
  void FinishCall(const grpc::Status& status) final { this->Finish(status); }
  void OnWriteDone(bool ok) final { TransferDone(ok); }
  void OnCancel() final { End(absl::CancelledError("the client is gone")); }
  void OnDone() final { Done(); }

  Response message_;
};

// A stream from the client, one message at a time; the next is asked for when
// the one before has been taken, so a fast client waits.
template <typename Request, typename Response>
class StreamReader : public grpc::ServerReadReactor<Request>,
                     public StreamCall {
 public:
  template <typename Call, typename... Args>
  static Call* Begin(Args&&... args) {
    auto call = std::make_shared<Call>(std::forward<Args>(args)...);
    call->Start();
    return call.get();
  }

 protected:
  // `response` is gRPC's.
  StreamReader(const StreamHost& host, Response* response)
      : StreamCall(host), response_(response) {}

  // On the executor: a message; an error ends the call.
  virtual absl::Status Take(Request& message) = 0;
  // On the executor: the client has sent everything.
  virtual absl::Status TakeEnd(Response* response) = 0;

 private:
  Next Step(absl::Status* status) final {
    if (!begun_) {
      begun_ = true;
      return Next::kTransfer;
    }
    *status = read_ ? Take(message_) : TakeEnd(response_);
    return read_ && status->ok() ? Next::kTransfer : Next::kEnd;
  }
  void Transfer() final { this->StartRead(&message_); }
  void FinishCall(const grpc::Status& status) final { this->Finish(status); }
  void OnReadDone(bool ok) final {
    read_ = ok;
    if (ok) return TransferDone(true);
    ReadEnded();
  }
  // A read also fails when the client is gone, and then half an upload must not
  // count as a whole one. Sending something tells the two apart.
  void ConfirmEnd() final { this->StartSendInitialMetadata(); }
  void OnSendInitialMetadataDone(bool ok) final { TransferDone(ok); }
  void OnCancel() final { End(absl::CancelledError("the client is gone")); }
  void OnDone() final { Done(); }

  bool begun_ = false;
  bool read_ = false;  // handed over with the transfer
  Request message_;
  Response* const response_;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_STREAM_CALL_H_
