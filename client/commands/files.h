#ifndef ATTUNE_CLIENT_COMMANDS_FILES_H_
#define ATTUNE_CLIENT_COMMANDS_FILES_H_

#include <istream>
#include <string>

#include "absl/status/statusor.h"

namespace attune::client {

// The bytes of the file at `path`, or of `in` for "-". INVALID_ARGUMENT naming
// the path when it cannot be read or has more than `max_bytes`.
absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& in,
                                      size_t max_bytes);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_FILES_H_
