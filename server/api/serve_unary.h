#ifndef ATTUNE_SERVER_API_SERVE_UNARY_H_
#define ATTUNE_SERVER_API_SERVE_UNARY_H_

#include <utility>

#include "absl/status/status.h"
#include "proto/cc/executor.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/unary_call.h"
#include "server/api/unsupported.h"

namespace attune::server {

// Answers a unary call on `executor` with what `work(request)` gives, a
// StatusOr<Response>, after CheckSupported.
template <typename Request, typename Response, typename Work>
grpc::ServerUnaryReactor* ServeUnary(Executor& executor, const Request* request,
                                     Response* response, Work work) {
  return UnaryCall::Run(
      executor, [request, response, work = std::move(work)]() -> absl::Status {
        ATTUNE_RETURN_IF_ERROR(CheckSupported(*request));
        ATTUNE_ASSIGN_OR_RETURN(*response, work(*request));
        return absl::OkStatus();
      });
}

// The same for calls that answer with google.protobuf.Empty: `work` gives a
// Status.
template <typename Request, typename Work>
grpc::ServerUnaryReactor* ServeEmpty(Executor& executor, const Request* request,
                                     Work work) {
  return UnaryCall::Run(executor,
                        [request, work = std::move(work)]() -> absl::Status {
                          ATTUNE_RETURN_IF_ERROR(CheckSupported(*request));
                          return work(*request);
                        });
}

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_SERVE_UNARY_H_
