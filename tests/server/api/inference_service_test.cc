#include "server/api/inference_service.h"

#include <atomic>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

TEST(InferenceService, CallsWithoutADeadlineGetOne) {
  InProcessServer server;
  FakeWorker worker(server.channel(), "w");
  std::atomic<bool> soon = false;
  worker.on_predict = [&](grpc::ServerContext* context, const auto&,
                          auto* response) {
    // Ten seconds, which gRPC rounds up on their way.
    soon = context->deadline() <=
           std::chrono::system_clock::now() + std::chrono::seconds(11);
    response->add_results();
    return grpc::Status::OK;
  };
  worker.Synchronize();
  v1::PredictRequest request;
  v1::BaseTarget* base = request.mutable_target()->mutable_base();
  base->set_model("models/tiny");
  base->mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
  base->mutable_task()->set_template_("x");
  request.add_items();
  grpc::ClientContext context;
  v1::PredictResponse response;
  const auto stub = v1::InferenceService::NewStub(server.channel());

  EXPECT_TRUE(stub->Predict(&context, request, &response).ok());
  EXPECT_TRUE(soon);
}

}  // namespace
}  // namespace attune::server
