#ifndef ATTUNE_PROTO_CC_UNARY_CALL_H_
#define ATTUNE_PROTO_CC_UNARY_CALL_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "proto/cc/executor.h"
#include "proto/cc/status.h"

namespace attune {

// A unary call that is answered later, from any thread. Request, response and
// context stay valid until Finish, which somebody must call even when the
// client is gone. It owns itself from Begin until gRPC is done with it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  static std::shared_ptr<UnaryCall> Begin() {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall);
    call->self_ = call;
    return call;
  }

  // Runs `work` on `executor` and finishes with its status; at once with an
  // error when the executor takes no more. Work that has not begun when the
  // client goes away is left out.
  static grpc::ServerUnaryReactor* Run(Executor& executor,
                                       std::function<absl::Status()> work) {
    const std::shared_ptr<UnaryCall> call = Begin();
    const absl::Status taken = executor.Offer([call, work = std::move(work)] {
      call->Finish(call->cancelled()
                       ? absl::CancelledError("the client is gone")
                       : work());
    });
    if (!taken.ok()) call->Finish(taken);
    return call.get();
  }

  // Answers now.
  static grpc::ServerUnaryReactor* Answer(const absl::Status& status) {
    const std::shared_ptr<UnaryCall> call = Begin();
    call->Finish(status);
    return call.get();
  }

  // Exactly once.
  void Finish(const absl::Status& status) {
    grpc::ServerUnaryReactor::Finish(ToGrpcStatus(status));
  }

  bool cancelled() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  // `on_cancel` runs once when the client cancels or its deadline passes; at
  // once when that has happened already.
  void SetOnCancel(std::function<void()> on_cancel)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!cancelled_) {
        on_cancel_ = std::move(on_cancel);
        return;
      }
    }
    on_cancel();
  }

 private:
  UnaryCall() = default;

  void OnCancel() override {
    std::function<void()> on_cancel;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      on_cancel = std::move(on_cancel_);
    }
    if (on_cancel) on_cancel();
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&mutex_);
      on_cancel_ = nullptr;
    }
    std::exchange(self_, nullptr).reset();
  }

  std::shared_ptr<UnaryCall> self_;
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_cancel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_UNARY_CALL_H_
