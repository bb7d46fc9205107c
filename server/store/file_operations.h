#ifndef ATTUNE_SERVER_STORE_FILE_OPERATIONS_H_
#define ATTUNE_SERVER_STORE_FILE_OPERATIONS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Durable file operations. Errors are kStorageFull when the disk (or a quota)
// is full and kStorageFailure for anything else, and name the path.
namespace attune::server {

// The error of `errno` after an operation on a path.
absl::Status FileError(std::string_view operation, std::string_view path,
                       int error_number);

// Makes a directory with its parents, each durable in its own parent; OK if it
// exists.
absl::Status MakeDirectories(const std::string& path);

// Makes the entries of a directory (files made, renamed, removed) durable.
absl::Status SyncDirectory(const std::string& path);

// Writes a new file and makes its bytes durable; the entry in its directory is
// durable after SyncDirectory.
absl::Status WriteFile(const std::string& path, std::string_view bytes);

// All bytes of a file. NOT_FOUND (kResourceNotFound) if there is none;
// kCorruptArtifact when it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes);

// Removes a directory with everything in it; OK if there is none.
absl::Status RemoveDirectory(const std::string& path);

// A file that is being written. Closed, without syncing, when destroyed. Not
// thread-safe.
class OutputFile {
 public:
  static absl::StatusOr<OutputFile> Create(std::string path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  absl::Status Write(std::string_view bytes);
  // Makes the bytes durable and closes. An error means that they may be lost.
  absl::Status SyncAndClose();

 private:
  OutputFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;  // -1 once closed
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_FILE_OPERATIONS_H_
