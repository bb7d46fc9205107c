#include "client/commands/durations.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

TEST(ParseDurationFlag, ReadsUnits) {
  EXPECT_EQ(*ParseDurationFlag("--wait", "90s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDurationFlag("--wait", "1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDurationFlag("--wait", "0s"), absl::ZeroDuration());
}

TEST(ParseDurationFlag, RefusesAnythingElse) {
  for (const std::string value : {"", "90", "soon", "-1s", "inf"}) {
    EXPECT_THAT(ParseDurationFlag("--wait", value),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "--wait '" + value +
                             "' is not a time: write it like 90s, 2m or 1h30m"))
        << value;
  }
}

}  // namespace
}  // namespace attune::client
