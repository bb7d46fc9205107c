#include "server/api/artifact_download.h"

#include <utility>

#include "proto/cc/status_macros.h"
#include "server/store/artifact_store.h"

namespace attune::server {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

}  // namespace

ArtifactDownload::ArtifactDownload(
    const ApiHost& host, const ArtifactStore& artifacts,
    std::function<absl::StatusOr<std::string>()> find_digest)
    : StreamWriter(host.ControlStream()),
      artifacts_(artifacts),
      find_digest_(std::move(find_digest)) {}

absl::Status ArtifactDownload::Open() {
  ATTUNE_ASSIGN_OR_RETURN(digest_, find_digest_());
  ATTUNE_ASSIGN_OR_RETURN(entries_, artifacts_.Entries(digest_));
  return absl::OkStatus();
}

absl::Status ArtifactDownload::ReadNextFile(v1::ArtifactFile* file) {
  const ArtifactEntry& entry = entries_[next_entry_++];
  ATTUNE_ASSIGN_OR_RETURN(bytes_, artifacts_.ReadFile(digest_, entry));
  sent_ = 0;
  file->set_name(entry.name);
  file->set_size_bytes(entry.size_bytes);
  file->set_sha256(entry.sha256);
  return absl::OkStatus();
}

ArtifactDownload::Next ArtifactDownload::Make(
    v1::DownloadPromptVersionResponse* message, absl::Status* status) {
  if (digest_.empty()) *status = Open();
  if (!status->ok()) return Next::kEnd;
  if (sent_ < bytes_.size()) {
    message->set_chunk(bytes_.substr(sent_, kChunkBytes));
    sent_ += message->chunk().size();
    return Next::kTransfer;
  }
  if (next_entry_ == entries_.size()) return Next::kEnd;
  *status = ReadNextFile(message->mutable_file());
  return status->ok() ? Next::kTransfer : Next::kEnd;
}

}  // namespace attune::server
