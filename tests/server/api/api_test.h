#ifndef ATTUNE_TESTS_SERVER_API_API_TEST_H_
#define ATTUNE_TESTS_SERVER_API_API_TEST_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {

// The paths that an error names in google.rpc.BadRequest.
inline std::vector<std::string> FieldsOf(const absl::Status& status) {
  const auto payload =
      status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest details;
  std::vector<std::string> fields;
  if (!payload || !details.ParseFromString(std::string(*payload)))
    return fields;
  for (const auto& violation : details.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

// An error with this reason that names this field.
MATCHER_P2(NamesField, reason, field, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  const std::vector<std::string> fields = FieldsOf(status);
  *result_listener << testing::PrintToString(fields);
  return !status.ok() && ReasonOf(status) == reason &&
         std::find(fields.begin(), fields.end(), field) != fields.end();
}

// No call of a test waits longer.
inline void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(30));
}

// Makes a unary call.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                           const Request&,
                                                           Response*),
                              const Request& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  Response response;
  const absl::Status status =
      FromGrpcStatus((stub.*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

// The end of a stream that the server writes, and what came before.
template <typename Response>
struct Streamed {
  std::vector<Response> messages;
  absl::Status status;
};
template <typename Stub, typename Request, typename Response>
Streamed<Response> ReadAll(Stub& stub,
                           std::unique_ptr<grpc::ClientReader<Response>> (
                               Stub::*method)(grpc::ClientContext*,
                                              const Request&),
                           const Request& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = (stub.*method)(&context, request);
  Streamed<Response> all;
  Response message;
  while (reader->Read(&message)) all.messages.push_back(message);
  all.status = FromGrpcStatus(reader->Finish());
  return all;
}

// A request of type T with its name field set.
template <typename T>
T Named(const std::string& name) {
  T request;
  request.set_name(name);
  return request;
}

}  // namespace attune::server

#endif  // ATTUNE_TESTS_SERVER_API_API_TEST_H_
