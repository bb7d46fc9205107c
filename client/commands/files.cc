#include "client/commands/files.h"

#include <cerrno>
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

}  // namespace attune::client
