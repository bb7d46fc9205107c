#include "proto/cc/ready_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {

absl::Status WriteReadyFile(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& entries) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::trunc);
  for (const auto& [key, value] : entries) file << key << "=" << value << "\n";
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::FailedPreconditionError(Concat(
        "cannot write the ready file '", path, "': ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace attune
