#include "server/store/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/store/file_operations.h"

namespace attune::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEntriesFile = ".entries";
// 64 lines of a digest, a size and a name of at most 128 bytes.
constexpr int64_t kMaxEntriesBytes = 64 * 256;

bool IsDigest(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

// The text whose SHA-256 is the artifact's digest; entries sorted by name.
std::string EntriesText(const std::vector<ArtifactEntry>& entries) {
  std::string text;
  for (const ArtifactEntry& entry : entries) {
    text += Concat(entry.sha256, " ", entry.size_bytes, " ", entry.name, "\n");
  }
  return text;
}

absl::Status Damaged(std::string_view digest, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("artifact ", digest, ": ", what),
                   {{"digest", std::string(digest)}});
}

absl::StatusOr<std::vector<ArtifactEntry>> ParseEntries(
    std::string_view digest, const std::string& text) {
  if (Sha256Hex(text) != digest) {
    return Damaged(digest, "the list of its files is damaged");
  }
  std::vector<ArtifactEntry> entries;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::vector<std::string> parts = absl::StrSplit(line, ' ');
    int64_t size = 0;
    if (parts.size() != 3 || !absl::SimpleAtoi(parts[1], &size)) {
      return Damaged(digest, "the list of its files is malformed");
    }
    entries.push_back({parts[2], size, parts[0]});
  }
  return entries;
}

}  // namespace

// The file that is being received.
struct ArtifactWriter::OpenFile {
  OutputFile file;
  ArtifactEntry entry;
  Sha256 hash;
  int64_t num_bytes = 0;
};

ArtifactWriter::ArtifactWriter(ArtifactStore& store, std::string directory)
    : store_(store), directory_(std::move(directory)) {}

ArtifactWriter::~ArtifactWriter() {
  open_.reset();
  // After a commit there is nothing left here. What cannot be removed now goes
  // when the store is opened again.
  RemoveDirectory(directory_).IgnoreError();
}

absl::Status ArtifactWriter::BeginFile(const ArtifactEntry& entry) {
  ATTUNE_RETURN_IF_ERROR(EndFile());
  ATTUNE_RETURN_IF_ERROR(CheckArtifactEntry(entry));
  for (const ArtifactEntry& other : entries_) {
    if (other.name == entry.name) {
      return InvalidField("file.name",
                          Concat("'", entry.name, "' came already"));
    }
  }
  if (static_cast<int64_t>(entries_.size()) >= kMaxArtifactFiles ||
      entry.size_bytes > kMaxArtifactBytes - total_bytes_) {
    return InvalidField(
        "file",
        Concat("an artifact may have ", kMaxArtifactFiles, " files and ",
               kMaxArtifactBytes, " bytes; '", entry.name, "' with ",
               entry.size_bytes, " bytes is too much"));
  }
  ATTUNE_ASSIGN_OR_RETURN(OutputFile file,
                          OutputFile::Create(directory_ + "/" + entry.name));
  total_bytes_ += entry.size_bytes;
  open_.reset(new OpenFile{std::move(file), entry, Sha256(), 0});
  return absl::OkStatus();
}

absl::Status ArtifactWriter::Write(std::string_view bytes) {
  if (open_ == nullptr) {
    return InvalidField("chunk", "comes before the file it belongs to");
  }
  open_->num_bytes += static_cast<int64_t>(bytes.size());
  if (open_->num_bytes > open_->entry.size_bytes) {
    return InvalidField("chunk",
                        Concat("'", open_->entry.name, "' gets more than its ",
                               open_->entry.size_bytes, " bytes"));
  }
  open_->hash.Update(bytes);
  return open_->file.Write(bytes);
}

absl::Status ArtifactWriter::EndFile() {
  if (open_ == nullptr) return absl::OkStatus();
  std::unique_ptr<OpenFile> file = std::move(open_);
  if (file->num_bytes != file->entry.size_bytes ||
      file->hash.HexDigest() != file->entry.sha256) {
    return MakeError(
        Reason::kCorruptArtifact,
        Concat("'", file->entry.name, "' came with ", file->num_bytes,
               " bytes of SHA-256 ", file->hash.HexDigest(), " in place of ",
               file->entry.size_bytes, " bytes of ", file->entry.sha256,
               "; send it again"),
        {{"file", file->entry.name}});
  }
  ATTUNE_RETURN_IF_ERROR(file->file.SyncAndClose());
  entries_.push_back(file->entry);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ArtifactWriter::Commit() {
  ATTUNE_RETURN_IF_ERROR(EndFile());
  if (entries_.empty()) {
    return InvalidField("file", "an artifact needs at least one file");
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const ArtifactEntry& a, const ArtifactEntry& b) {
              return a.name < b.name;
            });
  return store_.Publish(directory_, entries_);
}

ArtifactStore::ArtifactStore(std::string root) : root_(std::move(root)) {}

absl::StatusOr<std::unique_ptr<ArtifactStore>> ArtifactStore::Open(
    std::string root) {
  ATTUNE_RETURN_IF_ERROR(RemoveDirectory(root + "/tmp"));
  ATTUNE_RETURN_IF_ERROR(MakeDirectories(root + "/tmp"));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(root));
  return std::unique_ptr<ArtifactStore>(new ArtifactStore(std::move(root)));
}

absl::StatusOr<std::unique_ptr<ArtifactWriter>> ArtifactStore::NewWriter() {
  int64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    number = ++next_temporary_;
  }
  std::string directory = Concat(root_, "/tmp/", number);
  ATTUNE_RETURN_IF_ERROR(MakeDirectories(directory));
  return std::unique_ptr<ArtifactWriter>(
      new ArtifactWriter(*this, std::move(directory)));
}

std::string ArtifactStore::DirectoryOf(std::string_view digest) const {
  return Concat(root_, "/", digest.substr(0, 2), "/", digest);
}

absl::StatusOr<std::string> ArtifactStore::Publish(
    const std::string& directory, const std::vector<ArtifactEntry>& entries) {
  const std::string digest = ArtifactDigest(entries);
  const std::string target = DirectoryOf(digest);
  const std::string parent = fs::path(target).parent_path().string();
  ATTUNE_RETURN_IF_ERROR(
      WriteFile(Concat(directory, "/", kEntriesFile), EntriesText(entries)));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(directory));
  absl::MutexLock lock(&mutex_);
  ATTUNE_RETURN_IF_ERROR(MakeDirectories(parent));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(root_));
  if (Verify(digest).ok()) {
    // It is there already; as if new, so that no sweep takes it away.
    utimensat(AT_FDCWD, target.c_str(), nullptr, 0);
  } else {
    ATTUNE_RETURN_IF_ERROR(RemoveDirectory(target));  // if damaged
    if (std::rename(directory.c_str(), target.c_str()) != 0) {
      return FileError("rename to", target, errno);
    }
  }
  // In both cases: whoever renamed it may have died before the sync.
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(parent));
  return digest;
}

absl::StatusOr<std::vector<ArtifactEntry>> ArtifactStore::Entries(
    std::string_view digest) const {
  if (!Contains(digest)) return NotFound("artifact", digest);
  absl::StatusOr<std::string> text = ReadWholeFile(
      Concat(DirectoryOf(digest), "/", kEntriesFile), kMaxEntriesBytes);
  if (absl::IsNotFound(text.status())) {
    return Damaged(digest, "the list of its files is gone");
  }
  ATTUNE_RETURN_IF_ERROR(text.status());
  return ParseEntries(digest, *text);
}

absl::StatusOr<std::string> ArtifactStore::ReadFile(
    std::string_view digest, const ArtifactEntry& entry) const {
  ATTUNE_RETURN_IF_ERROR(CheckArtifactEntry(entry));
  if (!IsDigest(digest)) return NotFound("artifact", digest);
  absl::StatusOr<std::string> bytes = ReadWholeFile(
      Concat(DirectoryOf(digest), "/", entry.name), entry.size_bytes);
  if (absl::IsNotFound(bytes.status())) {
    return Damaged(digest, Concat("file '", entry.name, "' is gone"));
  }
  ATTUNE_RETURN_IF_ERROR(bytes.status());
  absl::Status status = VerifyArtifactFile(entry, *bytes);
  if (!status.ok()) return WithContext(status, Concat("artifact ", digest));
  return bytes;
}

absl::StatusOr<Artifact> ArtifactStore::Read(std::string_view digest) const {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<ArtifactEntry> entries, Entries(digest));
  Artifact artifact;
  for (const ArtifactEntry& entry : entries) {
    ATTUNE_ASSIGN_OR_RETURN(artifact.files[entry.name],
                            ReadFile(digest, entry));
  }
  return artifact;
}

absl::StatusOr<std::vector<ArtifactEntry>> ArtifactStore::Verify(
    std::string_view digest) const {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<ArtifactEntry> entries, Entries(digest));
  for (const ArtifactEntry& entry : entries) {
    ATTUNE_RETURN_IF_ERROR(ReadFile(digest, entry).status());
  }
  return entries;
}

bool ArtifactStore::Contains(std::string_view digest) const {
  std::error_code error;
  return IsDigest(digest) && fs::is_directory(DirectoryOf(digest), error);
}

absl::Status ArtifactStore::Remove(std::string_view digest) {
  if (!IsDigest(digest)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  return RemoveDirectory(DirectoryOf(digest));
}

absl::StatusOr<std::vector<std::string>> ArtifactStore::FindOlder(
    absl::Time older_than) const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(root_, error), end;
       !error && it != end; it.increment(error)) {
    if (it.depth() == 1) it.disable_recursion_pending();
    std::string name = it->path().filename().string();
    if (it.depth() == 1 && IsDigest(name) && IsOlder(name, older_than)) {
      found.push_back(name);
    }
  }
  if (error) return FileError("read directory", root_, error.value());
  return found;
}

absl::StatusOr<bool> ArtifactStore::RemoveOlder(std::string_view digest,
                                                absl::Time older_than) {
  absl::MutexLock lock(&mutex_);
  if (!IsDigest(digest) || !IsOlder(digest, older_than)) return false;
  ATTUNE_RETURN_IF_ERROR(RemoveDirectory(DirectoryOf(digest)));
  return true;
}

bool ArtifactStore::IsOlder(std::string_view digest, absl::Time time) const {
  struct stat info;
  return stat(DirectoryOf(digest).c_str(), &info) == 0 &&
         absl::TimeFromTimespec(info.st_mtim) < time;
}

}  // namespace attune::server
