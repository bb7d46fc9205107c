#include "client/commands/files.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

TEST(ReadInput, ReadsAFile) {
  const TempDirectory directory;
  const std::string bytes = "a\0b\n\xFF";
  WriteBytes(directory / "f", bytes);
  std::istringstream in;

  const auto read = ReadInput(directory / "f", in, 100);

  ASSERT_OK(read);
  EXPECT_EQ(*read, bytes);
}

TEST(ReadInput, ReadsStandardInputForADash) {
  std::istringstream in("from a pipe");

  EXPECT_EQ(*ReadInput("-", in, 100), "from a pipe");
}

TEST(ReadInput, RefusesTooMuch) {
  std::istringstream in(std::string(200000, 'x'));

  EXPECT_THAT(ReadInput("-", in, 100000),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "standard input has more than 100000 bytes"));
}

TEST(ReadInput, NamesWhatItCannotOpen) {
  const TempDirectory directory;
  std::istringstream in;

  EXPECT_THAT(ReadInput(directory / "none", in, 100),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/none: No such file")));
  EXPECT_THAT(ReadInput(directory.path(), in, 100),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is a directory")));
}

}  // namespace
}  // namespace attune::client
