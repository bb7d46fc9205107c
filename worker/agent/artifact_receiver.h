#ifndef ATTUNE_WORKER_AGENT_ARTIFACT_RECEIVER_H_
#define ATTUNE_WORKER_AGENT_ARTIFACT_RECEIVER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/prompt_service.pb.h"
#include "proto/cc/artifact.h"

namespace attune::worker {

// Puts the messages of a download together and checks names, sizes and digests
// before anything is used. Not thread-safe.
class ArtifactReceiver {
 public:
  // `digest`: that of the artifact as a whole.
  explicit ArtifactReceiver(std::string digest);

  // DataLoss or InvalidArgument for a message that breaks the format, a file
  // that is not what its description says, or too many bytes.
  absl::Status Add(const attune::v1::DownloadPromptVersionResponse& message);

  // The artifact, after the last message. DataLoss unless it is whole.
  absl::StatusOr<Artifact> Finish();

 private:
  absl::Status EndFile();

  const std::string digest_;
  Artifact artifact_;
  std::vector<ArtifactEntry> entries_;
  std::optional<ArtifactEntry> open_;
  std::string bytes_;  // of the open file
  int64_t total_bytes_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_ARTIFACT_RECEIVER_H_
