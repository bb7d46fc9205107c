#ifndef ATTUNE_WORKER_API_ROWS_CALL_H_
#define ATTUNE_WORKER_API_ROWS_CALL_H_

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/stream_call.h"
#include "proto/cc/text.h"
#include "worker/inference/background_work.h"

namespace attune::worker {

// What a dataset may have, and memory that rows of a usual length need for it.
inline constexpr int64_t kMaxCallRows = 1'000'000;
inline constexpr int64_t kMaxCallRowBytes = int64_t{2} << 30;

// A call whose client sends a header and then rows, and waits for work on them.
// A place for the work is taken before the first row, so calls that cannot run
// cost no memory. Reactor: gRPC's of the call.
template <typename Reactor, typename Request>
class RowsCall : public Reactor, public StreamCall {
 public:
  // Makes the call and begins it; the result is what the service returns.
  template <typename Call, typename... Args>
  static Call* Begin(Args&&... args) {
    auto call = std::make_shared<Call>(std::forward<Args>(args)...);
    call->Start();
    return call.get();
  }

 protected:
  using Pause = BackgroundWork::Pause;

  // work: borrowed; its thread ends before the gRPC server.
  RowsCall(const StreamHost& host, BackgroundWork& work,
           std::shared_ptr<CallContext> context)
      : StreamCall(host), work_(work), context_(std::move(context)) {}

  // The first message, which is a header.
  virtual absl::Status TakeHeader(Request& message) = 0;
  // On the thread of the work, once all rows are there. Tells by Wake.
  virtual void Work(std::vector<std::string> rows, const Pause& pause) = 0;
  // A step after the rows.
  virtual Next Answer(absl::Status* status) = 0;
  // Begins the write that Answer prepared.
  virtual void WriteAnswer() {}

 private:
  Next Step(absl::Status* status) final {
    if (!reading_) return Answer(status);
    *status = begun_ ? TakeMessage() : BeginReading();
    if (!status->ok()) return Next::kEnd;
    return reading_ ? Next::kTransfer : Next::kWait;
  }

  absl::Status BeginReading() {
    begun_ = true;
    ATTUNE_ASSIGN_OR_RETURN(place_, work_.Admit(context_));
    return absl::OkStatus();
  }

  absl::Status TakeMessage() {
    if (!read_) return BeginWork();
    if (message_.has_header() != !has_header_) {
      return InvalidField("message", "must be a header first, and then rows");
    }
    if (message_.has_header()) {
      has_header_ = true;
      return TakeHeader(message_);
    }
    auto& rows = *message_.mutable_rows()->mutable_rows();
    for (const std::string& row : rows) {
      num_bytes_ += static_cast<int64_t>(row.size());
    }
    rows_.insert(rows_.end(), std::make_move_iterator(rows.begin()),
                 std::make_move_iterator(rows.end()));
    if (static_cast<int64_t>(rows_.size()) <= kMaxCallRows &&
        num_bytes_ <= kMaxCallRowBytes) {
      return absl::OkStatus();
    }
    return MakeError(
        Reason::kLimitExceeded,
        Concat("there are more than ", kMaxCallRows, " rows or ",
               kMaxCallRowBytes, " bytes of them: use a smaller dataset"));
  }

  absl::Status BeginWork() {
    if (!has_header_) return InvalidField("message", "there is no header");
    reading_ = false;
    auto self = std::static_pointer_cast<RowsCall>(shared_from_this());
    work_.Run(std::move(place_), [self](const Pause& pause) {
      self->Work(std::move(self->rows_), pause);
    });
    return absl::OkStatus();
  }

  void Transfer() final {
    if (!reading_) return WriteAnswer();
    this->StartRead(&message_);
  }
  void FinishCall(const grpc::Status& status) final { this->Finish(status); }
  void OnReadDone(bool ok) final {
    read_ = ok;
    if (ok) return TransferDone(true);
    ReadEnded();
  }
  // A read also fails when the client is gone; then nothing begins.
  void ConfirmEnd() final { this->StartSendInitialMetadata(); }
  void OnSendInitialMetadataDone(bool ok) final { TransferDone(ok); }
  void OnCancel() final { End(absl::CancelledError("the client is gone")); }
  void OnDone() final { Done(); }
  // Nobody waits for the work any more.
  void OnEnded() final { context_->Cancel(); }

  BackgroundWork& work_;
  const std::shared_ptr<CallContext> context_;
  // Used by steps and transfers only.
  bool begun_ = false;
  bool reading_ = true;
  bool read_ = false;
  bool has_header_ = false;
  Request message_;
  std::unique_ptr<BackgroundWork::Place> place_;
  int64_t num_bytes_ = 0;
  // Then the work's.
  std::vector<std::string> rows_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_ROWS_CALL_H_
