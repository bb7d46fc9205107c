#include "worker/models/mapped_file.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/resident_memory.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
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

TEST(MappedFile, ReleasedBytesLeaveMemoryAndCanBeReadAgain) {
  constexpr size_t kBytes = size_t{32} << 20;
  const TempDirectory directory;
  WriteBytes(directory / "f", std::string(kBytes, 'x'));
  const auto file = MappedFile::Open(directory / "f");
  ASSERT_OK(file);
  const std::string_view bytes = (*file)->bytes();
  ASSERT_EQ(std::count(bytes.begin(), bytes.end(), 'x'), kBytes);
  const int64_t before = MappedBytes();

  (*file)->Release(1, kBytes - 1);

  EXPECT_LT(MappedBytes(), before - static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 'x'), kBytes);
}

TEST(ReadSmallFile, RefusesFilesBeyondTheLimit) {
  const TempDirectory directory;
  WriteBytes(directory / "f", "12345");

  EXPECT_EQ(*ReadSmallFile(directory / "f", 5), "12345");
  EXPECT_THAT(ReadSmallFile(directory / "f", 4),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr(directory / "f"),
                             HasSubstr("5 bytes long, at most 4"))));
}

TEST(CorruptFile, KeepsLittleOfALongName) {
  const absl::Status status =
      CorruptFile("f", Concat("tensor '", std::string(1 << 20, 'x'), "'"));

  EXPECT_THAT(status,
              ReasonIs(Reason::kCorruptModel, HasSubstr("f: tensor 'x")));
  EXPECT_LT(status.message().size(), 1100u);
}

TEST(QuoteBytes, ShowsNamesOnOneLineAndNotAtLength) {
  EXPECT_EQ(QuoteBytes("a.weight"), "'a.weight'");
  EXPECT_EQ(QuoteBytes("a\n\xff"), "'a\\n\\xff'");
  EXPECT_EQ(QuoteBytes(std::string(101, 'a')),
            "'" + std::string(100, 'a') + "...'");
}

}  // namespace
}  // namespace attune::worker
