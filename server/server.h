#ifndef ATTUNE_SERVER_SERVER_H_
#define ATTUNE_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "proto/cc/clock.h"
#include "server/options.h"

namespace attune::server {

// Everything of attune-server, connected: database, jobs, registry, fleet,
// services, timers and metrics page. Destruction drains first.
class Server {
 public:
  // What tests shorten.
  struct Timing {
    absl::Duration tick = absl::Milliseconds(200);  // of streams
    absl::Duration heartbeat = absl::Seconds(15);   // of watches
    absl::Duration stall_limit = absl::Seconds(60);
    absl::Duration default_deadline = absl::Seconds(120);
  };

  // Opens the state directory, which runs migrations, and serves. The error's
  // message is for people; its code is UNAVAILABLE when an address is taken,
  // another one when the state directory cannot be used. clock: must outlive
  // the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, const Clock& clock, const Timing& timing);
  ~Server();

  // host:port as bound.
  const std::string& grpc_address() const;
  const std::string& metrics_address() const;

  // A channel without a socket. Must not outlive the server.
  std::shared_ptr<grpc::Channel> InProcessChannel(
      const grpc::ChannelArguments& arguments = {});

  // Stops in order: not ready, no more leases, streams and long polls end with
  // DRAINING, calls that run may finish until about two thirds of `limit`, then
  // they are cancelled. Blocks until nothing runs any more. Once.
  void Drain(absl::Duration limit);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_SERVER_H_
