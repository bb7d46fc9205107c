#include "worker/agent/remote_artifact_source.h"

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::StatusOr<Artifact> RemoteArtifactSource::Fetch(const std::string& digest,
                                                     absl::Time deadline) {
  const absl::Duration left = deadline - clock_.Now();
  if (left <= absl::ZeroDuration()) {
    return MakeError(Reason::kDeadlineExceeded,
                     Concat("no time is left to fetch artifact ", digest));
  }
  return stub_.DownloadArtifact(digest, left);
}

}  // namespace attune::worker
