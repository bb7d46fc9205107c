#include "worker/models/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// The number in a control group's file; nothing where there is no file or it
// says "max".
std::optional<int64_t> ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  int64_t bytes = 0;
  if (!(file >> text) || !absl::SimpleAtoi(text, &bytes) || bytes <= 0) {
    return std::nullopt;
  }
  return bytes;
}

// The least of `bytes` and the limits of `group` and all groups around it.
// Where a container sees its own group as the root, `group` is a path of the
// host and does not exist; the root is asked in any case.
int64_t WithinGroups(int64_t bytes, const std::string& mount, std::string group,
                     std::string_view file) {
  while (true) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    bytes = std::min(
        bytes, ReadLimit(Concat(mount, group, "/", file)).value_or(bytes));
    const size_t slash = group.rfind('/');
    if (slash == group.npos) return bytes;
    group.resize(slash);
  }
}

absl::StatusOr<int64_t> PhysicalMemory(const std::string& path) {
  std::ifstream file(path);
  std::string name;
  int64_t kilobytes = 0;
  while (file >> name) {
    if (name == "MemTotal:" && file >> kilobytes && kilobytes > 0) {
      return kilobytes * 1024;
    }
    std::getline(file, name);
  }
  return absl::FailedPreconditionError(
      Concat(path, " does not say how much memory there is"));
}

}  // namespace

absl::StatusOr<int64_t> MachineMemory(const std::string& root) {
  ATTUNE_ASSIGN_OR_RETURN(int64_t bytes,
                          PhysicalMemory(root + "/proc/meminfo"));
  // Lines "<hierarchy>:<controllers>:<path of the group>" (cgroups(7)); version
  // 2 is hierarchy 0, without controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (parts[0] == "0") {
      bytes =
          WithinGroups(bytes, root + "/sys/fs/cgroup", parts[2], "memory.max");
    } else if (std::find(controllers.begin(), controllers.end(), "memory") !=
               controllers.end()) {
      bytes = WithinGroups(bytes, root + "/sys/fs/cgroup/memory", parts[2],
                           "memory.limit_in_bytes");
    }
  }
  return bytes;
}

}  // namespace attune::worker
