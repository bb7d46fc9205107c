#include "server/api/evaluation_service.h"

#include <atomic>

#include "attune/v1/dataset_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

TEST(EvaluationService, CallsWithoutADeadlineGetFourHours) {
  InProcessServer server;
  FakeWorker worker(server.channel(), "w");
  std::atomic<int64_t> seconds = 0;
  worker.on_evaluate = [&](grpc::ServerContext* context, auto* stream) {
    worker::v1::EngineEvaluateRequest message;
    while (stream->Read(&message)) {
    }
    seconds = std::chrono::duration_cast<std::chrono::seconds>(
                  context->deadline() - std::chrono::system_clock::now())
                  .count();
    return grpc::Status::OK;
  };
  MakeVersion(server.channel(), worker, "one", "prompts/intent");
  const auto datasets = v1::DatasetService::NewStub(server.channel());
  v1::CreateDatasetRequest create;
  create.set_dataset_id("d");
  ASSERT_OK(Call(*datasets, &v1::DatasetService::Stub::CreateDataset, create));
  v1::AppendExamplesRequest append;
  append.set_dataset("datasets/d");
  (*append.add_rows()->mutable_fields())["text"].set_string_value("a");
  ASSERT_OK(Call(*datasets, &v1::DatasetService::Stub::AppendExamples, append));
  v1::EvaluatePromptRequest request;
  request.mutable_target()->set_prompt("prompts/intent");
  request.set_dataset("datasets/d");
  request.set_split("all");
  grpc::ClientContext context;
  const auto stub = v1::EvaluationService::NewStub(server.channel());

  const auto reader = stub->EvaluatePrompt(&context, request);

  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_GT(seconds, 3 * 3600);
  // gRPC rounds a timeout of hours up to hundreds of seconds on the wire.
  EXPECT_LE(seconds, 4 * 3600 + 100);
}

}  // namespace
}  // namespace attune::server
