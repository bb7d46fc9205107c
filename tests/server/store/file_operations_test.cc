#include "server/store/file_operations.h"

#include <cerrno>
#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(FileError, AFullDiskHasItsOwnReason) {
  EXPECT_THAT(FileError("write", "x", ENOSPC),
              ReasonIs(Reason::kStorageFull, HasSubstr("free some space")));
  EXPECT_THAT(FileError("write", "x", EDQUOT),
              ReasonIs(Reason::kStorageFull, HasSubstr("'x'")));
  EXPECT_THAT(FileError("write", "x", EIO),
              ReasonIs(Reason::kStorageFailure,
                       AllOf(HasSubstr("write"), HasSubstr("'x'"))));
}

TEST(WriteFile, WritesAllBytesAndNeverReplaces) {
  TempDirectory directory;
  const std::string bytes("a\0b", 3);

  ASSERT_OK(WriteFile(directory / "f", bytes));

  EXPECT_EQ(ReadBytes(directory / "f"), bytes);
  EXPECT_THAT(WriteFile(directory / "f", "other"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("create")));
  EXPECT_EQ(ReadBytes(directory / "f"), bytes);
}

TEST(WriteFile, NamesAPathThatCannotBeWritten) {
  EXPECT_THAT(WriteFile("/proc/nothing/f", "x"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("/proc/nothing/f")));
}

TEST(ReadWholeFile, ReadsUpToTheLimit) {
  TempDirectory directory;
  const std::string bytes(200'000, 'x');
  WriteBytes(directory / "f", bytes);

  EXPECT_EQ(ReadWholeFile(directory / "f", 200'000).value(), bytes);
  EXPECT_THAT(ReadWholeFile(directory / "f", 199'999),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("199999")));
}

TEST(ReadWholeFile, AMissingFileIsNotFound) {
  TempDirectory directory;

  EXPECT_THAT(ReadWholeFile(directory / "gone", 10),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("gone")));
  EXPECT_THAT(ReadWholeFile(directory.path(), 10),
              ReasonIs(Reason::kStorageFailure, HasSubstr("read")));
}

TEST(MakeDirectories, MakesParentsAndMayBeRepeated) {
  TempDirectory directory;

  ASSERT_OK(MakeDirectories(directory / "a/b/c"));
  ASSERT_OK(MakeDirectories(directory / "a/b/c"));

  EXPECT_TRUE(std::filesystem::is_directory(directory / "a/b/c"));
  ASSERT_OK(SyncDirectory(directory / "a/b"));
  EXPECT_THAT(SyncDirectory(directory / "no"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("no")));
}

TEST(MakeDirectories, AFileInTheWayIsNamed) {
  TempDirectory directory;
  WriteBytes(directory / "f", "");

  EXPECT_THAT(MakeDirectories(directory / "f"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("/f'")));
  EXPECT_THAT(MakeDirectories(directory / "f/g"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("/f'")));
}

TEST(MakeDirectories, TakesRelativePathsAndSlashesAtTheEnd) {
  TempDirectory directory;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());

  EXPECT_OK(MakeDirectories("a/b/"));
  EXPECT_OK(MakeDirectories("c"));
  EXPECT_OK(MakeDirectories("."));

  std::filesystem::current_path(before);
  EXPECT_TRUE(std::filesystem::is_directory(directory / "a/b"));
  EXPECT_TRUE(std::filesystem::is_directory(directory / "c"));
}

TEST(RemoveDirectory, RemovesEverythingAndMayBeRepeated) {
  TempDirectory directory;
  ASSERT_OK(MakeDirectories(directory / "a/b"));
  WriteBytes(directory / "a/b/f", "x");

  ASSERT_OK(RemoveDirectory(directory / "a"));
  ASSERT_OK(RemoveDirectory(directory / "a"));

  EXPECT_FALSE(std::filesystem::exists(directory / "a"));
}

TEST(OutputFile, AddsPieces) {
  TempDirectory directory;
  auto file = OutputFile::Create(directory / "f");
  ASSERT_OK(file);

  ASSERT_OK(file->Write("one "));
  ASSERT_OK(file->Write(""));
  ASSERT_OK(file->Write("two"));
  ASSERT_OK(file->SyncAndClose());

  EXPECT_EQ(ReadBytes(directory / "f"), "one two");
}

TEST(OutputFile, DoesNotFollowALink) {
  TempDirectory directory;
  WriteBytes(directory / "secret", "kept");
  std::filesystem::create_symlink(directory / "secret", directory / "link");

  EXPECT_THAT(OutputFile::Create(directory / "link"),
              ReasonIs(Reason::kStorageFailure, HasSubstr("link")));
  EXPECT_EQ(ReadBytes(directory / "secret"), "kept");
}

}  // namespace
}  // namespace attune::server
