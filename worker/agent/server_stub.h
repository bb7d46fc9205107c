#ifndef ATTUNE_WORKER_AGENT_SERVER_STUB_H_
#define ATTUNE_WORKER_AGENT_SERVER_STUB_H_

#include <grpcpp/impl/codegen/channel_interface.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/worker/v1/control.pb.h"
#include "proto/cc/artifact.h"

namespace attune::worker {

// What a worker calls on the server. Every call blocks, at most for `timeout`,
// and returns the server's error with its reason; an unreachable server is
// Unavailable or DeadlineExceeded. Thread-safe.
class ServerStub {
 public:
  virtual ~ServerStub() = default;

  virtual absl::StatusOr<v1::SynchronizeResponse> Synchronize(
      const v1::SynchronizeRequest& request, absl::Duration timeout) = 0;

  // Ends a Synchronize that waits, with Cancelled; it and every later one
  // returns at once. For the drain, which must not wait for a long poll.
  virtual void InterruptSynchronize() = 0;

  // Returns the rows in the order of the snapshot.
  virtual absl::StatusOr<std::vector<std::string>> ReadSnapshot(
      const v1::ReadSnapshotRequest& request, absl::Duration timeout) = 0;

  // Returns the digest under which the server has stored `artifact`.
  virtual absl::StatusOr<std::string> UploadArtifact(
      const v1::UploadArtifactHeader& header, const Artifact& artifact,
      absl::Duration timeout) = 0;

  // DataLoss if a file or the whole does not have its digest.
  virtual absl::StatusOr<Artifact> DownloadArtifact(const std::string& digest,
                                                    absl::Duration timeout) = 0;

  virtual absl::Status FinishAttempt(const v1::FinishAttemptRequest& request,
                                     absl::Duration timeout) = 0;
};

// A stub for the server at `address` (host:port). Connects when first used and
// again after each loss.
std::unique_ptr<ServerStub> ConnectToServer(const std::string& address);

// A stub on a channel that exists. `address` stands in its messages.
std::unique_ptr<ServerStub> MakeServerStub(
    std::shared_ptr<grpc::ChannelInterface> channel,
    const std::string& address);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_SERVER_STUB_H_
