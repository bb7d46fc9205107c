#include "client/commands/durations.h"

#include "proto/cc/text.h"

namespace attune::client {

absl::StatusOr<absl::Duration> ParseDurationFlag(std::string_view flag,
                                                 const std::string& value) {
  absl::Duration duration;
  if (!absl::ParseDuration(value, &duration) ||
      duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(Concat(
        flag, " '", value, "' is not a time: write it like 90s, 2m or 1h30m"));
  }
  return duration;
}

}  // namespace attune::client
