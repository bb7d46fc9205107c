#include "client/commands/files.h"

#include <filesystem>
#include <iterator>
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

TEST(WriteOutput, MakesAFile) {
  const TempDirectory directory;

  ASSERT_OK(WriteOutput(directory / "f", "text"));

  EXPECT_EQ(ReadBytes(directory / "f"), "text");
}

TEST(WriteOutput, ReplacesAFileAndLeavesNothingBeside) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "a longer text");

  ASSERT_OK(WriteOutput(directory / "f", "text"));

  EXPECT_EQ(ReadBytes(directory / "f"), "text");
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(directory.path()), {}),
      1);
}

TEST(WriteOutput, WritesThroughALink) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "old");
  std::filesystem::create_symlink("f", directory / "link");

  ASSERT_OK(WriteOutput(directory / "link", "new"));

  EXPECT_EQ(ReadBytes(directory / "f"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
}

TEST(WriteOutput, RefusesADirectory) {
  const TempDirectory directory;

  EXPECT_THAT(WriteOutput(directory.path(), "text"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is a directory: name a file in it")));
}

TEST(WriteOutput, RefusesADevice) {
  EXPECT_THAT(WriteOutput("/dev/null", "text"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/dev/null is no file: name one, or -")));
}

TEST(WriteOutput, NamesAPlaceThatIsNotThere) {
  const TempDirectory directory;

  EXPECT_THAT(WriteOutput(directory / "gone/f", "text"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::AllOf(HasSubstr("gone/f: No such file"),
                                      HasSubstr("name a directory"))));
}

}  // namespace
}  // namespace attune::client
