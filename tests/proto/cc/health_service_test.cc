#include "proto/cc/health_service.h"

#include <chrono>
#include <memory>
#include <string>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using grpc::health::v1::Health;
using Request = HealthService::Request;
using Response = HealthService::Response;

class HealthServiceTest : public testing::Test {
 protected:
  HealthServiceTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&health_);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(server_->InProcessChannel({}));
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
  }
  ~HealthServiceTest() override {
    live_calls_.Drain();
    server_->Shutdown();
  }
  absl::StatusOr<Response::ServingStatus> Check(const std::string& service) {
    grpc::ClientContext context;
    Request request;
    request.set_service(service);
    Response response;
    const absl::Status status =
        FromGrpcStatus(stub_->Check(&context, request, &response));
    if (!status.ok()) return status;
    return response.status();
  }

  LiveCalls live_calls_;
  HealthService health_{live_calls_, {"a.Service"}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(HealthServiceTest, AllButLivenessWaitUntilReady) {
  for (const char* service : {"", "a.Service", "attune-readiness"}) {
    EXPECT_EQ(*Check(service), Response::NOT_SERVING) << service;
  }
  EXPECT_EQ(*Check("attune-liveness"), Response::SERVING);
  health_.SetReady(true);
  for (const char* service : {"", "a.Service", "attune-readiness"}) {
    EXPECT_EQ(*Check(service), Response::SERVING) << service;
  }
}

TEST_F(HealthServiceTest, UnknownServicesAreNotFound) {
  EXPECT_THAT(Check("b.Service"),
              ReasonIs(Reason::kResourceNotFound, testing::_));
}

TEST_F(HealthServiceTest, AWatchSeesEveryChangeAndEndsWithTheDrain) {
  const auto reader = stub_->Watch(&context_, Request());
  Response response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  health_.SetReady(true);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), Response::SERVING);
  health_.SetReady(false);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  live_calls_.Drain();

  EXPECT_FALSE(reader->Read(&response));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kDraining, testing::_));
}

TEST_F(HealthServiceTest, AWatchOfAnUnknownServiceSaysSo) {
  Request request;
  request.set_service("b.Service");
  const auto reader = stub_->Watch(&context_, request);
  Response response;

  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), Response::SERVICE_UNKNOWN);
  context_.TryCancel();
  reader->Finish();
}

}  // namespace
}  // namespace attune
