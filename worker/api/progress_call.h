#ifndef ATTUNE_WORKER_API_PROGRESS_CALL_H_
#define ATTUNE_WORKER_API_PROGRESS_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/api/rows_call.h"

namespace attune::worker {

// A RowsCall that streams how far its work has come, with every tick, and at
// last its result.
template <typename Request, typename Response>
class ProgressCall
    : public RowsCall<grpc::ServerBidiReactor<Request, Response>, Request> {
 protected:
  using Base = RowsCall<grpc::ServerBidiReactor<Request, Response>, Request>;
  using Next = StreamCall::Next;
  using typename Base::Pause;

  // work: borrowed, see RowsCall.
  ProgressCall(const StreamHost& host, BackgroundWork& work,
               std::shared_ptr<CallContext> context)
      : Base(host, work, std::move(context)) {}

  // On the thread of the work, once all rows are there: what the call ends
  // with.
  virtual absl::StatusOr<Response> Compute(std::vector<std::string> rows,
                                           const Pause& pause) = 0;

  // Has `change` bring the next message about the progress up to date. Called
  // by Compute.
  template <typename Change>
  void Tell(const Change& change) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    change(progress_);
  }

  // Takes a message out of `progress`, which is told again with the next tick;
  // by default all of it, and it stays.
  virtual Response TakeProgress(Response& progress) { return progress; }
  // Whether there is something in `progress` that must be told before the
  // result.
  virtual bool MustTell(const Response& /*progress*/) const { return false; }

 private:
  void Work(std::vector<std::string> rows, const Pause& pause) final
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::StatusOr<Response> result = Compute(std::move(rows), pause);
    {
      absl::MutexLock lock(&mutex_);
      result_ = std::move(result);
    }
    this->Wake();
  }

  Next Answer(absl::Status* status) final ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (result_.has_value() && !result_->ok()) {
      *status = result_->status();
      return Next::kEnd;
    }
    const bool tells = result_.has_value() ? MustTell(progress_)
                                           : tell_progress_.exchange(false);
    if (tells) {
      answer_ = TakeProgress(progress_);
      return Next::kTransfer;
    }
    if (!result_.has_value()) return Next::kWait;
    *status = absl::OkStatus();
    if (std::exchange(result_sent_, true)) return Next::kEnd;
    answer_ = **std::move(result_);
    return Next::kTransfer;
  }

  void WriteAnswer() final { this->StartWrite(&answer_); }
  void OnWriteDone(bool ok) final { this->TransferDone(ok); }
  bool WantsStep(absl::Duration /*now*/) final {
    tell_progress_ = true;
    return true;
  }

  Response answer_;  // gRPC's while it is written
  std::atomic<bool> tell_progress_ = false;

  absl::Mutex mutex_;
  Response progress_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<Response>> result_ ABSL_GUARDED_BY(mutex_);
  bool result_sent_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_PROGRESS_CALL_H_
