#ifndef ATTUNE_SERVER_API_ARTIFACT_DOWNLOAD_H_
#define ATTUNE_SERVER_API_ARTIFACT_DOWNLOAD_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/prompt_service.pb.h"
#include "proto/cc/artifact.h"
#include "proto/cc/stream_call.h"
#include "server/api/api_host.h"

namespace attune::server {

class ArtifactStore;

// Streams the files of an artifact, for DownloadPromptVersion and
// DownloadArtifact. Holds one file at a time; each is checked when read.
class ArtifactDownload final
    : public StreamWriter<v1::DownloadPromptVersionResponse> {
 public:
  // find_digest: checks the request and says which artifact is meant; called
  // once, on the executor.
  ArtifactDownload(const ApiHost& host, const ArtifactStore& artifacts,
                   std::function<absl::StatusOr<std::string>()> find_digest);

 private:
  Next Make(v1::DownloadPromptVersionResponse* message,
            absl::Status* status) override;
  absl::Status Open();
  absl::Status ReadNextFile(v1::ArtifactFile* file);

  const ArtifactStore& artifacts_;
  const std::function<absl::StatusOr<std::string>()> find_digest_;
  std::string digest_;  // empty until opened
  std::vector<ArtifactEntry> entries_;
  size_t next_entry_ = 0;
  std::string bytes_;  // of the file begun last
  size_t sent_ = 0;    // of bytes_
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_ARTIFACT_DOWNLOAD_H_
