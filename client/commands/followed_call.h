#ifndef ATTUNE_CLIENT_COMMANDS_FOLLOWED_CALL_H_
#define ATTUNE_CLIENT_COMMANDS_FOLLOWED_CALL_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/commands/session.h"
#include "client/output/progress_bar.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "proto/cc/status_macros.h"

namespace attune::client {

// A call that streams how far it has come and ends with its result. Nothing of
// a call that failed stays, so it is tried again.
template <typename Response>
struct FollowedCall {
  // The most that the call may take, unless the command line says otherwise.
  absl::Duration timeout;
  // Begins the call.
  std::function<std::unique_ptr<grpc::ClientReader<Response>>(
      Connection& connection, grpc::ClientContext* context)>
      begin;
  // Whether a message is the result.
  std::function<bool(const Response&)> is_result;
  // What to show of one that is not.
  std::function<ProgressView(const Response&)> view;
};

// The result, with the progress where somebody sees it. Errors of the call;
// INTERNAL if it ended without a result.
template <typename Response>
absl::StatusOr<Response> Follow(Session& session,
                                const FollowedCall<Response>& followed) {
  Connection& connection = session.connection();
  Console& console = session.console();
  Response last;
  ATTUNE_RETURN_IF_ERROR(connection.Try(Repeat::kSafe, [&]() -> absl::Status {
    std::optional<ProgressBar> bar;
    if (console.err.terminal) {
      bar.emplace(console.err, console.unicode, session.clock());
    }
    Connection::ActiveCall call(connection.interrupt(),
                                connection.TimeoutOr(followed.timeout));
    const auto reader = followed.begin(connection, call.context());
    Response message;
    while (reader->Read(&message)) {
      if (bar && !followed.is_result(message)) {
        bar->Show(followed.view(message));
      }
      last = message;
    }
    return connection.FromServer(reader->Finish());
  }));
  if (!followed.is_result(last)) {
    return absl::InternalError("the server ended without a result");
  }
  return last;
}

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_FOLLOWED_CALL_H_
