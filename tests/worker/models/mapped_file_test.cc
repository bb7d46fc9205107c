#include "worker/models/mapped_file.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "hello");

  const auto file = MappedFile::Open(directory / "f");

  ASSERT_OK(file);
  EXPECT_EQ((*file)->bytes(), "hello");
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "");

  EXPECT_EQ((*MappedFile::Open(directory / "f"))->bytes(), "");
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const TempDirectory directory;

  EXPECT_THAT(MappedFile::Open(directory / "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(MappedFile::Open(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a regular file")));
}

TEST(ReadSmallFile, RefusesFilesBeyondTheLimit) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "12345");

  EXPECT_EQ(*ReadSmallFile(directory / "f", 5), "12345");
  EXPECT_THAT(ReadSmallFile(directory / "f", 4),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("longer than 4 bytes")));
}

}  // namespace
}  // namespace attune::worker
