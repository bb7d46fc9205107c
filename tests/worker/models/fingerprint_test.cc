#include "worker/models/fingerprint.h"

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/digest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

class FingerprintTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteBytes(directory_ / "a", "12");
    WriteBytes(directory_ / "b", "345");
  }

  std::string Now() {
    return *Fingerprint({directory_ / "a", directory_ / "b"}, cache_);
  }

  TempDirectory directory_;
  const std::string cache_ = directory_ / "cache/m.json";
};

TEST_F(FingerprintTest, IsTheDigestOfNamesSizesAndBytes) {
  EXPECT_EQ(Now(), Sha256Hex("a\n2\n12b\n3\n345"));
}

TEST_F(FingerprintTest, ChangesWithAnyFile) {
  const std::string before = Now();

  WriteBytes(directory_ / "b", "3456");

  EXPECT_NE(Now(), before);
}

TEST_F(FingerprintTest, IsReadFromTheCacheWhileFilesAreTheSame) {
  Now();
  std::string cached = ReadBytes(cache_);
  const size_t digest = cached.find("sha256\":\"") + 9;
  cached[digest] = cached[digest] == 'f' ? '0' : 'f';
  WriteBytes(cache_, cached);

  EXPECT_EQ(Now(), cached.substr(digest, 64));
}

TEST_F(FingerprintTest, SurvivesACacheThatIsNoCache) {
  const std::string expected = Now();
  for (const char* text :
       {"", "{", "[]", "{\"files\": 1}", "{\"sha256\": 2}"}) {
    WriteBytes(cache_, text);
    EXPECT_EQ(Now(), expected) << text;
  }
}

TEST_F(FingerprintTest, IsComputedWhereNoCacheCanBeWritten) {
  WriteBytes(directory_ / "file", "");

  EXPECT_EQ(*Fingerprint({directory_ / "a"}, directory_ / "file/m.json"),
            Sha256Hex("a\n2\n12"));
}

TEST_F(FingerprintTest, IsRememberedWhereNoCacheCanBeWritten) {
  WriteBytes(directory_ / "cache", "a file, no directory");
  FingerprintMemory memory;
  const std::vector<std::string> files = {directory_ / "a"};
  const auto first = memory.Find(files, cache_);
  ASSERT_OK(first);
  EXPECT_EQ(*first, Sha256Hex("a\n2\n12"));

  // Other bytes behind the same size and time are not looked at.
  const auto time = std::filesystem::last_write_time(directory_ / "a");
  WriteBytes(directory_ / "a", "21");
  std::filesystem::last_write_time(directory_ / "a", time);
  EXPECT_EQ(*memory.Find(files, cache_), *first);

  WriteBytes(directory_ / "a", "213");
  EXPECT_EQ(*memory.Find(files, cache_), Sha256Hex("a\n3\n213"));
}

TEST_F(FingerprintTest, SaysWhichFileIsMissing) {
  EXPECT_THAT(Fingerprint({directory_ / "gone"}, cache_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("gone")));
}

}  // namespace
}  // namespace attune::worker
