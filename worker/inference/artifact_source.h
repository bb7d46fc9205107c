#ifndef ATTUNE_WORKER_INFERENCE_ARTIFACT_SOURCE_H_
#define ATTUNE_WORKER_INFERENCE_ARTIFACT_SOURCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/cc/artifact.h"

namespace attune::worker {

// Where the engine gets prompt versions from. Called on preparation threads,
// several at once, never on the engine thread. Thread-safe.
class ArtifactSource {
 public:
  virtual ~ArtifactSource() = default;

  // Fetches the artifact of `digest` and checks every file against its digest.
  // Blocks, at most until `deadline`. NotFound: there is none; DataLoss: its
  // bytes are damaged; Unavailable, DeadlineExceeded: try again.
  virtual absl::StatusOr<Artifact> Fetch(const std::string& digest,
                                         absl::Time deadline) = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_ARTIFACT_SOURCE_H_
