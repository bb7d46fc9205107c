#ifndef ATTUNE_WORKER_AGENT_REMOTE_ARTIFACT_SOURCE_H_
#define ATTUNE_WORKER_AGENT_REMOTE_ARTIFACT_SOURCE_H_

#include <string>

#include "proto/cc/clock.h"
#include "worker/agent/server_stub.h"
#include "worker/inference/artifact_source.h"

namespace attune::worker {

// Fetches artifacts from the server. Thread-safe.
class RemoteArtifactSource final : public ArtifactSource {
 public:
  // Both are borrowed.
  RemoteArtifactSource(ServerStub& stub, const Clock& clock)
      : stub_(stub), clock_(clock) {}

  absl::StatusOr<Artifact> Fetch(const std::string& digest,
                                 absl::Time deadline) override;

 private:
  ServerStub& stub_;
  const Clock& clock_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_REMOTE_ARTIFACT_SOURCE_H_
