#ifndef ATTUNE_SERVER_API_ROW_UPLOAD_H_
#define ATTUNE_SERVER_API_ROW_UPLOAD_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "proto/cc/executor.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "server/api/engine_pool.h"
#include "server/api/row_source.h"
#include "server/fleet/fleet.h"

namespace attune::server {

// A call to a worker's engine whose caller's half is a header and then rows:
// reads them on an executor, one message ahead of the wire at most, so a slow
// worker slows the reading. Owns itself from Start until gRPC is done with it,
// since it may outlive the client's side. Base: gRPC's reactor of the call.
template <typename Base, typename Request>
class RowUpload
    : public Base,
      public std::enable_shared_from_this<RowUpload<Base, Request>> {
 public:
  // executor: reads the rows; must outlive the call. header: the first message.
  RowUpload(Executor& executor, WorkerLoan loan,
            std::shared_ptr<EngineStub> stub, Request header, RowSource rows,
            absl::Time deadline)
      : stub_(std::move(stub)),
        executor_(executor),
        rows_(std::move(rows)),
        message_(std::move(header)),
        loan_(std::move(loan)) {
    context_.set_deadline(absl::ToChronoTime(deadline));
  }

  // Begins; once.
  void Start() {
    self_ = this->shared_from_this();
    Bind(*stub_, context_);
    // Held while rows are read, between the writes.
    this->AddHold();
    BeginReading();
    this->StartWrite(&message_);
    this->StartCall();
  }

  // Nobody waits for the answer any more. Thread-safe; also before Start.
  void Cancel() { context_.TryCancel(); }

 protected:
  // Binds the call to `stub`.
  virtual void Bind(EngineStub& stub, grpc::ClientContext& context) = 0;
  // Begins the first read, if answers are read one by one.
  virtual void BeginReading() {}
  // Once, at the end of the call, with what it came to.
  virtual void Ended(const absl::Status& status) = 0;

 private:
  void OnWriteDone(bool ok) final {
    // After a write that failed the worker has ended the call, and says why.
    if (!ok) return this->RemoveHold();
    const bool posted = executor_.Post(
        [self = this->shared_from_this()] { self->WriteNext(); });
    if (!posted) {
      Fail(MakeError(Reason::kDraining, "the process is shutting down"));
    }
  }

  // On the executor.
  void WriteNext() {
    absl::StatusOr<worker::v1::EngineRows> chunk = TakeChunk(rows_);
    if (!chunk.ok()) return Fail(chunk.status());
    if (chunk->rows().empty()) {
      this->StartWritesDone();
      return this->RemoveHold();
    }
    message_.Clear();
    *message_.mutable_rows() = *std::move(chunk);
    this->StartWrite(&message_);
  }

  void Fail(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      failure_ = status;
    }
    context_.TryCancel();
    this->RemoveHold();
  }

  void OnDone(const grpc::Status& wire) final {
    absl::Status status = EndOfCall(wire, *loan_);
    {
      absl::MutexLock lock(&mutex_);
      if (!failure_.ok()) status = failure_;
    }
    loan_.reset();
    Ended(status);
    std::exchange(self_, nullptr).reset();
  }

  const std::shared_ptr<EngineStub> stub_;
  Executor& executor_;
  const RowSource rows_;
  Request message_;  // gRPC's while it is written
  std::optional<WorkerLoan> loan_;
  grpc::ClientContext context_;
  std::shared_ptr<RowUpload> self_;  // from Start to OnDone
  absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // our own
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_ROW_UPLOAD_H_
