#include "server/api/malformed_requests.h"

#include <string>

#include "attune/v1/dataset_service.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::HasSubstr;

// The error of a unary call of any method with any bytes.
absl::Status CallWithBytes(InProcessServer& server, const std::string& method,
                           const std::string& bytes) {
  grpc::ClientContext context;
  SetDeadline(context);
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::CompletionQueue queue;
  const auto call = grpc::GenericStub(server.channel())
                        .PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return FromGrpcStatus(status);
}

TEST(MalformedRequests, TextThatIsNotUtf8IsAWrongField) {
  InProcessServer server;
  v1::AppendExamplesRequest request;
  request.set_dataset("datasets/rows");
  (*request.add_rows()->mutable_fields())["text"].set_string_value("caf\xE9");

  EXPECT_THAT(Call(*v1::DatasetService::NewStub(server.channel()),
                   &v1::DatasetService::Stub::AppendExamples, request),
              ReasonIs(Reason::kInvalidField,
                       testing::AllOf(HasSubstr("AppendExamplesRequest"),
                                      HasSubstr("UTF-8"))));
}

TEST(MalformedRequests, BytesThatAreNoMessageAreAWrongFieldOfAStreamToo) {
  InProcessServer server;

  EXPECT_THAT(CallWithBytes(server, "/attune.v1.TuningService/WatchTuningJob",
                            "\x0A\xFF"),
              ReasonIs(Reason::kInvalidField,
                       HasSubstr("attune.v1.WatchTuningJobRequest")));
}

TEST(MalformedRequests, WhatIsNotServedStaysUnimplemented) {
  InProcessServer server;

  EXPECT_THAT(CallWithBytes(server, "/attune.v1.TuningService/Nothing", ""),
              StatusIs(absl::StatusCode::kUnimplemented, testing::_));
}

}  // namespace
}  // namespace attune::server
