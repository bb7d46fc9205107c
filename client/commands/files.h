#ifndef ATTUNE_CLIENT_COMMANDS_FILES_H_
#define ATTUNE_CLIENT_COMMANDS_FILES_H_

#include <istream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune::client {

// The bytes of the file at `path`, or of `in` for "-". INVALID_ARGUMENT naming
// the path when it cannot be read or has more than `max_bytes`.
absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& in,
                                      size_t max_bytes);

// Makes `bytes` the content of the file at `path`, all at once: it is written
// beside it and renamed, so that a reader, or an interruption, finds the old
// file or the new one. INVALID_ARGUMENT: there is something that is no file.
// FAILED_PRECONDITION: it cannot be written; then nothing is left.
absl::Status WriteOutput(const std::string& path, std::string_view bytes);

// Writes all of `bytes`. FAILED_PRECONDITION naming `path`.
absl::Status WriteAll(int descriptor, std::string_view bytes,
                      const std::string& path);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_FILES_H_
