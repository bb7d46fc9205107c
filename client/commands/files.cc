#include "client/commands/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "proto/cc/text.h"

namespace attune::client {
namespace {

absl::StatusOr<std::string> ReadAll(std::istream& in, const std::string& name,
                                    size_t max_bytes) {
  std::string bytes;
  char buffer[65536];
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    bytes.append(buffer, in.gcount());
    if (bytes.size() > max_bytes) {
      return absl::InvalidArgumentError(
          Concat(name, " has more than ", max_bytes, " bytes"));
    }
  }
  if (in.bad()) {
    return absl::InvalidArgumentError(Concat("reading ", name, " failed"));
  }
  return bytes;
}

// A file that is removed again unless it was moved to its place.
class TemporaryFile {
 public:
  // Beside `target`, so that the move is a rename.
  explicit TemporaryFile(const std::filesystem::path& target)
      : path_((target.parent_path() /
               Concat(".", target.filename().string(), ".part-XXXXXX"))
                  .string()),
        descriptor_(mkostemp(path_.data(), O_CLOEXEC)) {}
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    if (!moved_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int descriptor() const { return descriptor_; }
  // False, with errno, where it failed.
  bool MoveTo(const std::filesystem::path& target) {
    // mkostemp makes it private to the user; the umask never was asked.
    moved_ = fchmod(descriptor_, 0644) == 0 && fsync(descriptor_) == 0 &&
             rename(path_.c_str(), target.c_str()) == 0;
    return moved_;
  }

 private:
  std::string path_;
  const int descriptor_;
  bool moved_ = false;
};

absl::Status CannotWrite(const std::string& path) {
  return absl::FailedPreconditionError(
      Concat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& in,
                                      size_t max_bytes) {
  if (path == "-") return ReadAll(in, "standard input", max_bytes);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(Concat(path, " is a directory"));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::InvalidArgumentError(
        Concat("cannot open ", path, ": ", std::strerror(errno)));
  }
  return ReadAll(file, path, max_bytes);
}

absl::Status WriteOutput(const std::string& path, std::string_view bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path target = path;
  // A link stays, what it names is replaced.
  if (fs::is_symlink(target, error)) target = fs::weakly_canonical(path, error);
  if (fs::is_directory(target, error)) {
    return absl::InvalidArgumentError(
        Concat(path, " is a directory: name a file in it"));
  }
  if (fs::exists(target, error) && !fs::is_regular_file(target, error)) {
    return absl::InvalidArgumentError(
        Concat(path, " is no file: name one, or - for standard output"));
  }
  TemporaryFile file(target);
  if (file.descriptor() < 0) {
    return absl::FailedPreconditionError(
        Concat("cannot make ", path, ": ", std::strerror(errno),
               ": name a directory that exists and that you may write to"));
  }
  const absl::Status written = WriteAll(file.descriptor(), bytes, path);
  if (!written.ok()) return written;
  return file.MoveTo(target) ? absl::OkStatus() : CannotWrite(path);
}

absl::Status WriteAll(int descriptor, std::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return CannotWrite(path);
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

}  // namespace attune::client
