#ifndef ATTUNE_PROTO_CC_READY_FILE_H_
#define ATTUNE_PROTO_CC_READY_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace attune {

// Writes one "key=value" line per entry to `path` in one step, so that whoever
// waits for the file reads all of it, e.g. {"grpc", "127.0.0.1:50051"}.
// FAILED_PRECONDITION naming the path when it cannot be written.
absl::Status WriteReadyFile(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& entries);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_READY_FILE_H_
