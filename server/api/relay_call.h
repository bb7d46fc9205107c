#ifndef ATTUNE_SERVER_API_RELAY_CALL_H_
#define ATTUNE_SERVER_API_RELAY_CALL_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/cc/executor.h"
#include "proto/cc/stream_call.h"
#include "server/api/api_host.h"
#include "server/api/engine_pool.h"
#include "server/api/message_relay.h"
#include "server/api/row_source.h"
#include "server/api/row_upload.h"
#include "server/fleet/fleet.h"

namespace attune::server {

// The worker's side of a RelayCall. It may outlive the client's.
template <typename EngineRequest, typename EngineResponse>
class RelayUpload final
    : public RowUpload<grpc::ClientBidiReactor<EngineRequest, EngineResponse>,
                       EngineRequest> {
 public:
  using Reactor = grpc::ClientBidiReactor<EngineRequest, EngineResponse>;
  // Begins the call of the engine.
  using BindFunction = void (*)(EngineStub& stub, grpc::ClientContext* context,
                                Reactor* reactor);

  // executor, header, rows, deadline: as of RowUpload. client: woken whenever
  // there is something to take.
  RelayUpload(Executor& executor, WorkerLoan loan,
              std::shared_ptr<EngineStub> stub, EngineRequest header,
              RowSource rows, absl::Time deadline, BindFunction bind,
              std::weak_ptr<StreamCall> client)
      : RowUpload<Reactor, EngineRequest>(executor, std::move(loan),
                                          std::move(stub), std::move(header),
                                          std::move(rows), deadline),
        bind_(bind),
        client_(std::move(client)) {}

  // Nobody takes messages any more. Thread-safe.
  void Stop() {
    this->Cancel();
    relay_.Stop(*this);
  }

  // As MessageRelay::Take.
  StreamCall::Next Take(EngineResponse* message, absl::Status* status) {
    return relay_.Take(*this, message, status);
  }

 private:
  void Bind(EngineStub& stub, grpc::ClientContext& context) override {
    bind_(stub, &context, this);
  }
  void BeginReading() override { relay_.Begin(*this, client_); }
  void OnReadDone(bool ok) override { relay_.ReadDone(*this, ok); }
  void Ended(const absl::Status& status) override { relay_.End(status); }

  const BindFunction bind_;
  const std::weak_ptr<StreamCall> client_;
  MessageRelay<EngineResponse> relay_;
};

// A stream to the client that a worker feeds: the worker gets a header and
// rows, and what it answers is taken one message at a time. Whichever side ends
// first ends the other.
template <typename Response, typename EngineRequest, typename EngineResponse>
class RelayCall : public StreamWriter<Response> {
 protected:
  using Upload = RelayUpload<EngineRequest, EngineResponse>;
  using Next = StreamCall::Next;

  // What a worker is asked.
  struct Question {
    WorkerLoan loan;
    std::shared_ptr<EngineStub> stub;
    EngineRequest header;
    RowSource rows;
  };

  // deadline: of the call to the worker.
  RelayCall(const ApiHost& host, absl::Time deadline,
            typename Upload::BindFunction bind)
      : StreamWriter<Response>(host.ControlStream()),
        control_(host.control),
        deadline_(deadline),
        bind_(bind) {}

  // Once, on the executor, when the stream begins. An error ends it.
  virtual absl::StatusOr<Question> Ask() = 0;

  // The worker's next message, its end, or nothing yet. On the executor.
  Next TakeAnswer(EngineResponse* answer, absl::Status* status)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!opened_) {
      opened_ = true;
      *status = Open();
      if (!status->ok()) return Next::kEnd;
    }
    std::shared_ptr<Upload> upload;
    {
      absl::MutexLock lock(&mutex_);
      upload = upload_;
    }
    return upload->Take(answer, status);
  }

 private:
  absl::Status Open() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::StatusOr<Question> question = Ask();
    if (!question.ok()) return question.status();
    auto upload = std::make_shared<Upload>(
        control_, std::move(question->loan), std::move(question->stub),
        std::move(question->header), std::move(question->rows), deadline_,
        bind_, this->weak_from_this());
    absl::MutexLock lock(&mutex_);
    if (over_) return absl::CancelledError("the client is gone");
    upload_ = upload;
    upload_->Start();
    return absl::OkStatus();
  }

  void OnEnded() final ABSL_LOCKS_EXCLUDED(mutex_) {
    std::shared_ptr<Upload> upload;
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
      upload = upload_;
    }
    if (upload != nullptr) upload->Stop();
  }

  Executor& control_;
  const absl::Time deadline_;
  const typename Upload::BindFunction bind_;
  bool opened_ = false;  // used by steps only

  absl::Mutex mutex_;
  std::shared_ptr<Upload> upload_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_RELAY_CALL_H_
