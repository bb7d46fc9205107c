#include "proto/cc/ready_file.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune {
namespace {

TEST(ReadyFile, HasOneLineForEachEntry) {
  const TempDirectory directory;
  const std::string path = directory / "ready";
  WriteBytes(path, "old");
  ASSERT_OK(WriteReadyFile(path, {{"grpc", "127.0.0.1:5"}, {"metrics", "m"}}));

  EXPECT_EQ(ReadBytes(path), "grpc=127.0.0.1:5\nmetrics=m\n");
}

TEST(ReadyFile, SaysWhichPathCannotBeWritten) {
  const TempDirectory directory;

  EXPECT_THAT(WriteReadyFile(directory / "none/ready", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::HasSubstr("none/ready")));
}

}  // namespace
}  // namespace attune
