#include "server/api/evaluation_service.h"

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

TEST(EvaluationService, IsNotServedYet) {
  InProcessServer server;
  const auto stub = v1::EvaluationService::NewStub(server.channel());

  EXPECT_THAT(
      Call(*stub, &v1::EvaluationService::Stub::EvaluatePrompt,
           v1::EvaluatePromptRequest()),
      ReasonIs(Reason::kMethodNotServed, testing::HasSubstr("EvaluatePrompt")));
}

}  // namespace
}  // namespace attune::server
