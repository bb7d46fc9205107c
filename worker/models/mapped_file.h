#ifndef ATTUNE_WORKER_MODELS_MAPPED_FILE_H_
#define ATTUNE_WORKER_MODELS_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune::worker {

// A file mapped read-only into memory. Const after construction: any number of
// threads may use one instance. The file must not be truncated while it is
// mapped: models are replaced by rename.
class MappedFile {
 public:
  // NotFound or another status with the path if the file can't be mapped.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(
      const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  // Gives the memory of the pages with bytes [offset, offset + size) back,
  // which lie inside the file. Whoever reads the bytes again, reads them from
  // disk or its cache.
  void Release(size_t offset, size_t size) const;
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const char* data, size_t size);

  const std::string path_;
  const char* const data_;  // null when the file is empty
  const size_t size_;
};

// Reads a small file into memory. NotFound, or DataLoss if it is longer than
// `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          size_t max_bytes);

// DataLoss: a model's file breaks its format. `what` says where and how; only
// its first 1000 bytes are kept.
absl::Status CorruptFile(std::string_view path, std::string_view what);

// A name out of a model's file as a message can show it: between quotes, bytes
// that are not printable ASCII escaped, cut where it gets long.
std::string QuoteBytes(std::string_view bytes);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MAPPED_FILE_H_
