#include "client/commands/prompt_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "client/commands/files.h"
#include "proto/cc/artifact.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

namespace fs = std::filesystem;

absl::Status DamagedDownload(std::string_view problem) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("the download is damaged: ", problem));
}

absl::Status FileError(std::string_view doing, const fs::path& path) {
  return absl::FailedPreconditionError(
      Concat(doing, " ", path.string(), ": ", std::strerror(errno)));
}

// A directory that is removed again unless it was moved to its place.
class TemporaryDirectory {
 public:
  // Beside `target`, so that the move is a rename.
  static absl::StatusOr<TemporaryDirectory> Create(const fs::path& target) {
    std::string name = (target.parent_path() /
                        Concat(".", target.filename().string(), ".part-XXXXXX"))
                           .string();
    if (mkdtemp(name.data()) == nullptr) {
      return FileError("cannot make a directory beside", target);
    }
    return TemporaryDirectory(fs::path(name));
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }

  absl::Status MoveTo(const fs::path& target) {
    std::error_code error;
    // mkdtemp makes it private to the user; the umask never was asked.
    fs::permissions(path_, fs::perms(0755), error);
    if (rename(path_.c_str(), target.c_str()) != 0) {
      return FileError("cannot make", target);
    }
    path_.clear();
    return absl::OkStatus();
  }

 private:
  explicit TemporaryDirectory(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// A file that is being received.
class OpenFile {
 public:
  OpenFile(ArtifactEntry entry, int descriptor)
      : entry_(std::move(entry)), descriptor_(descriptor) {}
  ~OpenFile() { close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  absl::Status Append(std::string_view bytes) {
    num_bytes_ += static_cast<int64_t>(bytes.size());
    if (num_bytes_ > entry_.size_bytes) {
      return DamagedDownload(
          Concat(entry_.name, " is longer than ", entry_.size_bytes, " bytes"));
    }
    digest_.Update(bytes);
    return WriteAll(descriptor_, bytes, entry_.name);
  }

  // Checks size and digest and puts the bytes on disk.
  absl::Status Finish() {
    if (num_bytes_ != entry_.size_bytes) {
      return DamagedDownload(Concat(entry_.name, " has ", num_bytes_,
                                    " bytes of ", entry_.size_bytes));
    }
    if (digest_.HexDigest() != entry_.sha256) {
      return DamagedDownload(
          Concat(entry_.name, " does not have its SHA-256 ", entry_.sha256));
    }
    return fsync(descriptor_) == 0 ? absl::OkStatus()
                                   : FileError("cannot write", entry_.name);
  }

 private:
  const ArtifactEntry entry_;
  const int descriptor_;
  Sha256 digest_;
  int64_t num_bytes_ = 0;
};

// Takes the messages of a download and writes them into a directory.
class Receiver {
 public:
  explicit Receiver(const fs::path& directory) : directory_(directory) {}

  absl::Status Take(const v1::DownloadPromptVersionResponse& message) {
    if (message.has_chunk()) {
      return file_ ? file_->Append(message.chunk())
                   : DamagedDownload("bytes come before a file");
    }
    ATTUNE_RETURN_IF_ERROR(CloseFile());
    return OpenNext(message.file());
  }

  // Checks that all came: the digest over all entries is the version's.
  absl::Status Finish(const v1::PromptVersion& version) {
    ATTUNE_RETURN_IF_ERROR(CloseFile());
    std::sort(entries_.begin(), entries_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    if (ArtifactDigest(entries_) != version.artifact_digest()) {
      return DamagedDownload(Concat("its files are not those of the digest ",
                                    version.artifact_digest()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status OpenNext(const v1::ArtifactFile& file) {
    const ArtifactEntry entry{file.name(), file.size_bytes(), file.sha256()};
    // The name becomes a path here: what is not a plain name ends the export.
    const absl::Status allowed = CheckArtifactEntry(entry);
    if (!allowed.ok()) return DamagedDownload(ToStd(allowed.message()));
    if (std::cmp_greater_equal(entries_.size(), kMaxArtifactFiles)) {
      return DamagedDownload("too many files");
    }
    const fs::path path = directory_ / entry.name;
    const int descriptor =
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) return FileError("cannot write", path);
    file_.emplace(entry, descriptor);
    entries_.push_back(entry);
    return absl::OkStatus();
  }

  absl::Status CloseFile() {
    if (!file_) return absl::OkStatus();
    const absl::Status status = file_->Finish();
    file_.reset();
    return status;
  }

  const fs::path& directory_;
  std::optional<OpenFile> file_;
  std::vector<ArtifactEntry> entries_;
};

absl::Status Download(Connection& connection, const v1::PromptVersion& version,
                      const fs::path& directory) {
  v1::DownloadPromptVersionRequest request;
  request.set_name(version.name());
  Connection::ActiveCall call(connection.interrupt(),
                              connection.TimeoutOr(absl::Minutes(10)));
  const auto reader =
      connection.prompts().DownloadPromptVersion(call.context(), request);
  Receiver receiver(directory);
  v1::DownloadPromptVersionResponse message;
  while (reader->Read(&message)) {
    const absl::Status status = receiver.Take(message);
    if (!status.ok()) {
      call.context()->TryCancel();
      reader->Finish();
      return status;
    }
  }
  ATTUNE_RETURN_IF_ERROR(connection.FromServer(reader->Finish()));
  return receiver.Finish(version);
}

absl::Status CheckFree(const fs::path& target) {
  std::error_code error;
  const bool exists = fs::exists(target, error);
  if (!exists ||
      (fs::is_directory(target, error) && fs::is_empty(target, error))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      Concat(target.string(), " exists already: name a new directory"));
}

}  // namespace

absl::StatusOr<v1::PromptVersion> ExportPromptVersion(
    Connection& connection, const std::string& name,
    const fs::path& directory) {
  const fs::path target = fs::absolute(directory).lexically_normal();
  const fs::path place = target.has_filename() ? target : target.parent_path();
  ATTUNE_RETURN_IF_ERROR(CheckFree(place));
  // An alias may move meanwhile: what is fetched is the version it means now.
  v1::GetPromptVersionRequest request;
  request.set_name(name);
  ATTUNE_ASSIGN_OR_RETURN(
      v1::PromptVersion version,
      connection.Call(Repeat::kSafe, connection.prompts(),
                      &v1::PromptService::Stub::GetPromptVersion, request));
  // Keeps the process from ending on Ctrl-C before the files are removed.
  const auto cleaning = connection.interrupt().OnRaise([] {});
  ATTUNE_RETURN_IF_ERROR(connection.Try(Repeat::kSafe, [&] {
    ATTUNE_ASSIGN_OR_RETURN(TemporaryDirectory temporary,
                            TemporaryDirectory::Create(place));
    ATTUNE_RETURN_IF_ERROR(Download(connection, version, temporary.path()));
    return temporary.MoveTo(place);
  }));
  return version;
}

}  // namespace attune::client
