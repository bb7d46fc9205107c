#include "proto/cc/stream_call.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/cc/unary_call.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using Message = v1::WatchTuningJobResponse;
using Chunk = v1::UploadExamplesRequest;

// Counts up to request.after_sequence; what comes then is the test's.
class CountingCall final : public StreamWriter<Message> {
 public:
  CountingCall(const StreamHost& host, const v1::WatchTuningJobRequest& request,
               size_t padding, absl::Notification* ended)
      : StreamWriter(host),
        limit_(request.after_sequence()),
        waits_(request.name() == "wait"),
        padding_(padding),
        ended_(ended) {}

 private:
  Next Make(Message* message, absl::Status* status) override {
    if (next_ > limit_) {
      if (waits_) return Next::kWait;
      *status = absl::NotFoundError("no more");
      return Next::kEnd;
    }
    message->mutable_event()->set_sequence(next_++);
    message->mutable_event()->mutable_notice()->set_message(
        std::string(padding_, 'x'));
    return Next::kTransfer;
  }
  void OnEnded() override { ended_->Notify(); }

  const int64_t limit_;
  const bool waits_;
  const size_t padding_;
  absl::Notification* const ended_;
  int64_t next_ = 1;
};

class TestTuning final : public v1::TuningService::CallbackService {
 public:
  explicit TestTuning(const StreamHost& host) : host_(host) {}

  grpc::ServerWriteReactor<Message>* WatchTuningJob(
      grpc::CallbackServerContext*,
      const v1::WatchTuningJobRequest* request) override {
    return CountingCall::Begin<CountingCall>(host_, *request, padding, &ended);
  }
  grpc::ServerUnaryReactor* GetTuningJob(grpc::CallbackServerContext*,
                                         const v1::GetTuningJobRequest* request,
                                         v1::TuningJob* response) override {
    return UnaryCall::Run(*host_.executor, [request, response] {
      response->set_name(request->name());
      return absl::OkStatus();
    });
  }

  size_t padding = 0;
  absl::Notification ended;

 private:
  const StreamHost host_;
};

// Adds up the bytes of all chunks; a chunk "bad" is refused.
class AddingCall final : public StreamReader<Chunk, v1::Dataset> {
 public:
  AddingCall(const StreamHost& host, v1::Dataset* response, bool* completed)
      : StreamReader(host, response), completed_(completed) {}

 private:
  absl::Status Take(Chunk& message) override {
    if (message.chunk() == "bad") return InvalidField("chunk", "is bad");
    bytes_ += static_cast<int64_t>(message.chunk().size());
    return absl::OkStatus();
  }
  absl::Status TakeEnd(v1::Dataset* response) override {
    *completed_ = true;
    response->set_size_bytes(bytes_);
    return absl::OkStatus();
  }

  int64_t bytes_ = 0;
  bool* const completed_;
};

class TestDatasets final : public v1::DatasetService::CallbackService {
 public:
  explicit TestDatasets(const StreamHost& host) : host_(host) {}
  grpc::ServerReadReactor<Chunk>* UploadExamples(
      grpc::CallbackServerContext*, v1::Dataset* response) override {
    return AddingCall::Begin<AddingCall>(host_, response, &completed);
  }
  bool completed = false;

 private:
  const StreamHost host_;
};

class StreamCallTest : public testing::Test {
 protected:
  StreamCallTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&tuning_);
    builder.RegisterService(&datasets_);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    server_ = builder.BuildAndStart();
    const auto channel =
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                            grpc::InsecureChannelCredentials());
    stub_ = v1::TuningService::NewStub(channel);
    upload_ = v1::DatasetService::NewStub(channel);
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
  }
  ~StreamCallTest() override {
    live_calls_.Drain();
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::seconds(5));
  }
  std::unique_ptr<grpc::ClientReader<Message>> Watch(const std::string& name,
                                                     int64_t count) {
    v1::WatchTuningJobRequest request;
    request.set_name(name);
    request.set_after_sequence(count);
    return stub_->WatchTuningJob(&context_, request);
  }

  LiveCalls live_calls_;
  Executor executor_{{.name = "test"}};
  StreamHost host_{&executor_, &live_calls_, absl::Seconds(60)};
  TestTuning tuning_{host_};
  TestDatasets datasets_{host_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::TuningService::Stub> stub_;
  std::unique_ptr<v1::DatasetService::Stub> upload_;
  grpc::ClientContext context_;
};

TEST_F(StreamCallTest, SendsEachMessageOnceThenTheStatus) {
  const auto reader = Watch("count", 100);
  Message message;
  for (int64_t i = 1; i <= 100; ++i) {
    ASSERT_TRUE(reader->Read(&message));
    ASSERT_EQ(message.event().sequence(), i);
  }

  EXPECT_FALSE(reader->Read(&message));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              StatusIs(absl::StatusCode::kNotFound, "no more"));
}

TEST_F(StreamCallTest, AWaitingStreamEndsWithTheDrain) {
  const auto reader = Watch("wait", 1);
  Message message;
  ASSERT_TRUE(reader->Read(&message));
  live_calls_.Drain();

  EXPECT_FALSE(reader->Read(&message));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kDraining, testing::_));
}

TEST_F(StreamCallTest, ACancelEndsAWaitingStream) {
  const auto reader = Watch("wait", 1);
  Message message;
  ASSERT_TRUE(reader->Read(&message));
  context_.TryCancel();

  EXPECT_TRUE(tuning_.ended.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST_F(StreamCallTest, AReaderThatStopsReadingIsGivenUp) {
  tuning_.padding = 1 << 20;
  const auto reader = Watch("count", 1000);
  Message message;
  ASSERT_TRUE(reader->Read(&message));
  // Time passes only here; the first tick after the window is full sees the
  // write, a later one ends it.
  absl::Duration now = absl::Seconds(1);
  while (
      !tuning_.ended.WaitForNotificationWithTimeout(absl::Milliseconds(10))) {
    live_calls_.Tick(now += absl::Seconds(2));
  }
  while (reader->Read(&message)) {
  }

  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kWatchTooSlow, testing::_));
}

TEST_F(StreamCallTest, AnUploadIsTakenMessageByMessage) {
  v1::Dataset response;
  const auto writer = upload_->UploadExamples(&context_, &response);
  Chunk chunk;
  chunk.set_chunk("abc");
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(writer->Write(chunk));
  writer->WritesDone();

  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response.size_bytes(), 150);
}

TEST_F(StreamCallTest, ARefusedMessageEndsAnUpload) {
  v1::Dataset response;
  const auto writer = upload_->UploadExamples(&context_, &response);
  Chunk chunk;
  chunk.set_chunk("bad");
  writer->Write(chunk);

  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              ReasonIs(Reason::kInvalidField, testing::_));
}

TEST_F(StreamCallTest, ACancelledUploadNeverCountsAsWhole) {
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    v1::Dataset response;
    const auto writer = upload_->UploadExamples(&context, &response);
    Chunk chunk;
    chunk.set_chunk("abc");
    writer->Write(chunk);
    context.TryCancel();
    EXPECT_FALSE(writer->Finish().ok());
  }
  live_calls_.Drain();
  server_->Shutdown();
  executor_.Shutdown();

  EXPECT_FALSE(datasets_.completed);
}

TEST_F(StreamCallTest, UnaryCallsRunOnTheExecutor) {
  v1::GetTuningJobRequest request;
  request.set_name("n");
  v1::TuningJob response;

  EXPECT_TRUE(stub_->GetTuningJob(&context_, request, &response).ok());
  EXPECT_EQ(response.name(), "n");
}

TEST_F(StreamCallTest, AStoppedExecutorRefusesUnaryCalls) {
  executor_.Shutdown();
  v1::TuningJob response;

  EXPECT_THAT(FromGrpcStatus(stub_->GetTuningJob(
                  &context_, v1::GetTuningJobRequest(), &response)),
              ReasonIs(Reason::kDraining, testing::_));
}

}  // namespace
}  // namespace attune
