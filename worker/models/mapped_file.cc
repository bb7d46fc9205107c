#include "worker/models/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(
    const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, Concat("cannot open ", path));
  }
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(Concat(path, " is not a regular file"));
  }
  const size_t size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int map_errno = errno;
  close(fd);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(map_errno, Concat("cannot map ", path));
  }
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<const char*>(data), size));
}

MappedFile::MappedFile(std::string path, const char* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

void MappedFile::Release(size_t offset, size_t size) const {
  if (size == 0) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  // Neighbours on the first and the last page are not lost: the mapping is not
  // written to, so its pages can always be had from the file.
  madvise(const_cast<char*>(data_) + begin, offset + size - begin,
          MADV_DONTNEED);
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          size_t max_bytes) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file,
                          MappedFile::Open(path));
  if (file->bytes().size() > max_bytes) {
    return CorruptFile(
        path, Concat(file->bytes().size(), " bytes long, at most ", max_bytes,
                     " are read"));
  }
  return std::string(file->bytes());
}

absl::Status CorruptFile(std::string_view path, std::string_view what) {
  // What is wrong may be a name of megabytes.
  constexpr size_t kMaxShown = 1000;
  return MakeError(Reason::kCorruptModel,
                   Concat(path, ": ", what.substr(0, kMaxShown),
                          what.size() > kMaxShown ? "..." : ""));
}

std::string QuoteBytes(std::string_view bytes) {
  constexpr size_t kMaxShown = 100;
  return Concat("'", absl::CHexEscape(ToAbsl(bytes.substr(0, kMaxShown))),
                bytes.size() > kMaxShown ? "...'" : "'");
}

}  // namespace attune::worker
