#ifndef ATTUNE_CLIENT_COMMANDS_DURATIONS_H_
#define ATTUNE_CLIENT_COMMANDS_DURATIONS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attune::client {

// The value of a flag like "90s", "2m" or "1h30m". INVALID_ARGUMENT naming the
// flag for anything else, for less than nothing, and for infinity.
absl::StatusOr<absl::Duration> ParseDurationFlag(std::string_view flag,
                                                 const std::string& value);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_DURATIONS_H_
