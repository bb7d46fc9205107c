#ifndef ATTUNE_SERVER_API_MALFORMED_REQUESTS_H_
#define ATTUNE_SERVER_API_MALFORMED_REQUESTS_H_

#include <map>
#include <string>
#include <vector>

#include "grpcpp/support/server_interceptor.h"

namespace attune::server {

// Bytes that are not the message of their method, such as a text that is not
// UTF-8, never reach a handler: gRPC answers them with a bare UNIMPLEMENTED.
// This makes it INVALID_ARGUMENT (INVALID_FIELD) that says what is wrong. Give
// it to SetInterceptorCreators before what counts statuses. Thread-safe.
class MalformedRequests final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `services` are full names; calls of any other are left alone.
  explicit MalformedRequests(const std::vector<std::string>& services);

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  std::map<std::string, std::string> requests_;  // "/service/method" -> message
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_MALFORMED_REQUESTS_H_
