#include "server/store/file_operations.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {

absl::Status FileError(std::string_view operation, std::string_view path,
                       int error_number) {
  bool full = error_number == ENOSPC || error_number == EDQUOT;
  return MakeError(full ? Reason::kStorageFull : Reason::kStorageFailure,
                   Concat("cannot ", operation, " '", path,
                          "': ", std::strerror(error_number),
                          full ? "; free some space and try again" : ""));
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return absl::OkStatus();
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (!parent.empty()) ATTUNE_RETURN_IF_ERROR(MakeDirectories(parent));
  std::filesystem::create_directory(path, error);
  if (error) return FileError("make directory", path, error.value());
  return SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status SyncDirectory(const std::string& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return FileError("open directory", path, errno);
  int result = fsync(descriptor);
  int error_number = errno;
  close(descriptor);
  if (result != 0) return FileError("sync directory", path, error_number);
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, std::string_view bytes) {
  ATTUNE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  ATTUNE_RETURN_IF_ERROR(file.Write(bytes));
  return file.SyncAndClose();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT) return NotFound("file", path);
    return FileError("open", path, errno);
  }
  std::string bytes;
  char buffer[1 << 16];
  ssize_t count = 0;
  while ((count = read(descriptor, buffer, sizeof(buffer))) > 0 ||
         (count < 0 && errno == EINTR)) {
    if (count < 0) continue;
    bytes.append(buffer, static_cast<size_t>(count));
    if (static_cast<int64_t>(bytes.size()) > max_bytes) break;
  }
  int error_number = errno;
  close(descriptor);
  if (count < 0) return FileError("read", path, error_number);
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    return MakeError(
        Reason::kCorruptArtifact,
        Concat("'", path, "' is longer than its ", max_bytes, " bytes"));
  }
  return bytes;
}

absl::Status RemoveDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return FileError("remove", path, error.value());
  return absl::OkStatus();
}

absl::StatusOr<OutputFile> OutputFile::Create(std::string path) {
  int descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (descriptor < 0) return FileError("create", path, errno);
  return OutputFile(std::move(path), descriptor);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(other.descriptor_) {
  other.descriptor_ = -1;
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status OutputFile::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(descriptor_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return FileError("write", path_, errno);
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::SyncAndClose() {
  int result = fsync(descriptor_);
  int error_number = errno;
  if (close(descriptor_) != 0 && result == 0) {
    result = -1;
    error_number = errno;
  }
  descriptor_ = -1;
  if (result != 0) return FileError("sync", path_, error_number);
  return absl::OkStatus();
}

}  // namespace attune::server
