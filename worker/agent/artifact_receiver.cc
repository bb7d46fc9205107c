#include "worker/agent/artifact_receiver.h"

#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

absl::Status Corrupt(const std::string& digest, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("artifact ", digest, " ", what,
                          ": fetch it again; if that does not help, the "
                          "server's copy is damaged"));
}

}  // namespace

ArtifactReceiver::ArtifactReceiver(std::string digest)
    : digest_(std::move(digest)) {}

absl::Status ArtifactReceiver::EndFile() {
  if (!open_) {
    return absl::OkStatus();
  }
  ATTUNE_RETURN_IF_ERROR(VerifyArtifactFile(*open_, bytes_));
  if (!artifact_.files.emplace(open_->name, std::move(bytes_)).second) {
    return Corrupt(digest_, Concat("holds '", open_->name, "' twice"));
  }
  entries_.push_back(*std::move(open_));
  open_.reset();
  bytes_.clear();
  return absl::OkStatus();
}

absl::Status ArtifactReceiver::Add(
    const attune::v1::DownloadPromptVersionResponse& message) {
  if (message.has_file()) {
    ATTUNE_RETURN_IF_ERROR(EndFile());
    ArtifactEntry entry = {message.file().name(), message.file().size_bytes(),
                           message.file().sha256()};
    ATTUNE_RETURN_IF_ERROR(CheckArtifactEntry(entry));
    total_bytes_ += entry.size_bytes;
    if (total_bytes_ > kMaxArtifactBytes ||
        static_cast<int64_t>(entries_.size()) >= kMaxArtifactFiles) {
      return Corrupt(digest_, "is larger than an artifact may be");
    }
    open_ = std::move(entry);
    return absl::OkStatus();
  }
  if (!open_) {
    return Corrupt(digest_, "has bytes before its first file");
  }
  if (static_cast<int64_t>(bytes_.size() + message.chunk().size()) >
      open_->size_bytes) {
    return Corrupt(
        digest_, Concat("has more bytes of '", open_->name, "' than its size"));
  }
  bytes_ += message.chunk();
  return absl::OkStatus();
}

absl::StatusOr<Artifact> ArtifactReceiver::Finish() {
  ATTUNE_RETURN_IF_ERROR(EndFile());
  if (ArtifactDigest(artifact_) != digest_) {
    return Corrupt(digest_, "does not have its digest");
  }
  return std::move(artifact_);
}

}  // namespace attune::worker
