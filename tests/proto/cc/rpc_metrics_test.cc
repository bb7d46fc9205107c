#include "proto/cc/rpc_metrics.h"

#include <memory>
#include <string>
#include <utility>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "proto/cc/health_service.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using grpc::health::v1::Health;

TEST(RpcMetrics, CountsCallsByMethodAndStatus) {
  const auto metrics = std::make_shared<Metrics>();
  LiveCalls live_calls;
  HealthService health(live_calls, {});
  grpc::ServerBuilder builder;
  builder.RegisterService(&health);
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(std::make_unique<RpcMetrics>(
      metrics, std::vector<std::string>{"grpc.health.v1.Health"}));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  const auto server = builder.BuildAndStart();
  const auto stub = Health::NewStub(server->InProcessChannel({}));
  HealthService::Response response;
  for (const char* service : {"", "", "none"}) {
    grpc::ClientContext context;
    HealthService::Request request;
    request.set_service(service);
    stub->Check(&context, request, &response);
  }
  server->Shutdown();
  const std::string page =
      prometheus::TextSerializer().Serialize(metrics->Collect());
  const std::string check =
      "grpc_method=\"Check\",grpc_service=\"grpc.health.v1.Health\","
      "grpc_type=\"unary\"} ";

  EXPECT_THAT(page,
              testing::HasSubstr("grpc_server_started_total{" + check + "3"));
  EXPECT_THAT(page,
              testing::HasSubstr("grpc_server_handled_total{grpc_code=\"OK\"," +
                                 check + "2"));
  EXPECT_THAT(page,
              testing::HasSubstr("grpc_code=\"NOT_FOUND\"," + check + "1"));
  EXPECT_THAT(page, testing::HasSubstr("grpc_server_msg_received_total{" +
                                       check + "3"));
  EXPECT_THAT(page,
              testing::HasSubstr("grpc_server_msg_sent_total{" + check + "2"));
  EXPECT_THAT(page, testing::HasSubstr("grpc_server_handling_seconds_count{" +
                                       check + "3"));
  EXPECT_THAT(page, testing::HasSubstr("grpc_type=\"server_stream\"} 0"));
}

}  // namespace
}  // namespace attune
