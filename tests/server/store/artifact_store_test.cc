#include "server/store/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "proto/cc/artifact.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class ArtifactStoreTest : public testing::Test {
 protected:
  ArtifactStoreTest() { Reopen(); }

  void Reopen() { store_ = ArtifactStore::Open(directory_ / "a").value(); }

  // Stores files and returns the digest.
  std::string Store(const std::map<std::string, std::string>& files) {
    Artifact artifact{files};
    auto writer = store_->NewWriter().value();
    for (const ArtifactEntry& entry : EntriesOf(artifact)) {
      EXPECT_OK(writer->BeginFile(entry));
      // In two pieces.
      const std::string& bytes = files.at(entry.name);
      EXPECT_OK(writer->Write(bytes.substr(0, bytes.size() / 2)));
      EXPECT_OK(writer->Write(bytes.substr(bytes.size() / 2)));
    }
    return writer->Commit().value();
  }

  std::string PathOf(const std::string& digest, const std::string& file) {
    return directory_ /
           Concat("a/", digest.substr(0, 2), "/", digest, "/", file);
  }

  // Makes an artifact look as if it had been committed at `time`.
  void SetAge(const std::string& digest, absl::Time time) {
    timespec at = absl::ToTimespec(time);
    timespec times[2] = {at, at};
    ASSERT_EQ(utimensat(AT_FDCWD, PathOf(digest, "").c_str(), times, 0), 0);
  }

  int CountTemporary() {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(directory_ / "a/tmp")) {
      count += entry.exists();
    }
    return count;
  }

  const std::map<std::string, std::string> files_ = {
      {"adapter_config.json", "{}"},
      {"adapter_model.safetensors", std::string("\0\1\2", 3)}};
  TempDirectory directory_;
  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(ArtifactStoreTest, GivesBackWhatWasStoredAlsoAfterAReopening) {
  std::string digest = Store(files_);
  Reopen();

  EXPECT_EQ(digest, ArtifactDigest(Artifact{files_}));
  EXPECT_EQ(store_->Read(digest).value().files, files_);
  EXPECT_TRUE(store_->Contains(digest));
  EXPECT_EQ(CountTemporary(), 0);
}

TEST_F(ArtifactStoreTest, ListsEntriesByName) {
  std::string digest = Store(files_);

  auto entries = store_->Entries(digest).value();

  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "adapter_config.json");
  EXPECT_EQ(entries[0].size_bytes, 2);
  EXPECT_EQ(entries[1].name, "adapter_model.safetensors");
  EXPECT_EQ(entries[1].size_bytes, 3);
}

TEST_F(ArtifactStoreTest, EveryFlippedBitIsFoundAndItsFileNamed) {
  std::string digest = Store(files_);
  for (const auto& [name, bytes] : files_) {
    for (size_t byte = 0; byte < bytes.size(); ++byte) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = bytes;
        damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
        WriteBytes(PathOf(digest, name), damaged);
        EXPECT_THAT(store_->Read(digest),
                    StatusIs(absl::StatusCode::kDataLoss, HasSubstr(name)));
      }
    }
    WriteBytes(PathOf(digest, name), bytes);
  }
  EXPECT_OK(store_->Read(digest));
}

TEST_F(ArtifactStoreTest, CutLongerAndMissingFilesAreDataLoss) {
  std::string digest = Store(files_);
  const std::string path = PathOf(digest, "adapter_model.safetensors");

  WriteBytes(path, "\0\1");
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("adapter_model.safetensors")));
  WriteBytes(path, "longer than it was");
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("adapter_model.safetensors")));
  fs::remove(path);
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is gone")));
}

TEST_F(ArtifactStoreTest, ADamagedListOfFilesIsDataLoss) {
  std::string digest = Store(files_);
  std::string list = ReadBytes(PathOf(digest, ".entries"));
  for (size_t byte = 0; byte < list.size(); ++byte) {
    std::string damaged = list;
    damaged[byte] = static_cast<char>(damaged[byte] ^ 1);
    WriteBytes(PathOf(digest, ".entries"), damaged);
    EXPECT_THAT(store_->Entries(digest),
                ReasonIs(Reason::kCorruptArtifact, HasSubstr("damaged")));
  }
  fs::remove(PathOf(digest, ".entries"));
  EXPECT_THAT(store_->Entries(digest),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("gone")));
}

TEST_F(ArtifactStoreTest, UnknownAndMalformedDigestsAreNotFound) {
  EXPECT_THAT(store_->Entries(std::string(64, '0')),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("0000")));
  for (const char* digest : {"", "..", "../../../etc/passwd", "ABC"}) {
    EXPECT_FALSE(store_->Contains(digest));
    EXPECT_THAT(store_->Entries(digest),
                ReasonIs(Reason::kResourceNotFound, HasSubstr("artifact")));
    EXPECT_OK(store_->Remove(digest));
  }
}

TEST_F(ArtifactStoreTest, AFilesBytesMustHaveItsDigest) {
  auto writer = store_->NewWriter().value();
  ArtifactEntry entry = EntriesOf(Artifact{{{"f", "right"}}})[0];

  ASSERT_OK(writer->BeginFile(entry));
  ASSERT_OK(writer->Write("wrong"));

  EXPECT_THAT(writer->Commit(),
              ReasonIs(Reason::kCorruptArtifact,
                       AllOf(HasSubstr("'f'"), HasSubstr(entry.sha256))));
  writer.reset();
  EXPECT_EQ(CountTemporary(), 0);
}

TEST_F(ArtifactStoreTest, AFileThatCameShortIsFoundWhenTheNextBegins) {
  auto writer = store_->NewWriter().value();
  std::vector<ArtifactEntry> entries =
      EntriesOf(Artifact{{{"a", "12345"}, {"b", "1"}}});
  ASSERT_OK(writer->BeginFile(entries[0]));
  ASSERT_OK(writer->Write("123"));

  EXPECT_THAT(writer->BeginFile(entries[1]),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("'a'")));
}

TEST_F(ArtifactStoreTest, WrongUploadsAreRefused) {
  auto writer = store_->NewWriter().value();
  ArtifactEntry entry = EntriesOf(Artifact{{{"f", "x"}}})[0];
  EXPECT_THAT(writer->Write("x"),
              ReasonIs(Reason::kInvalidField, HasSubstr("before the file")));
  EXPECT_THAT(writer->Commit(),
              ReasonIs(Reason::kInvalidField, HasSubstr("at least one")));

  for (const char* name : {"", "..", "a/b", ".entries", "a b"}) {
    ArtifactEntry wrong = entry;
    wrong.name = name;
    EXPECT_THAT(
        writer->BeginFile(wrong),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
  }
  ASSERT_OK(writer->BeginFile(entry));
  EXPECT_THAT(writer->Write("xy"),
              ReasonIs(Reason::kInvalidField, HasSubstr("more than its 1")));
}

TEST_F(ArtifactStoreTest, ANameComesOnlyOnce) {
  auto writer = store_->NewWriter().value();
  ArtifactEntry entry = EntriesOf(Artifact{{{"f", "x"}}})[0];
  ASSERT_OK(writer->BeginFile(entry));
  ASSERT_OK(writer->Write("x"));

  EXPECT_THAT(writer->BeginFile(entry),
              ReasonIs(Reason::kInvalidField, HasSubstr("already")));
}

TEST_F(ArtifactStoreTest, TooManyBytesAreRefusedBeforeTheyCome) {
  auto writer = store_->NewWriter().value();
  ArtifactEntry entry = EntriesOf(Artifact{{{"a", ""}}})[0];
  ASSERT_OK(writer->BeginFile(entry));
  entry.name = "b";
  entry.size_bytes = kMaxArtifactBytes + 1;

  EXPECT_THAT(
      writer->BeginFile(entry),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("268435457")));
}

TEST_F(ArtifactStoreTest, ATooLongListOfFilesIsRefused) {
  auto writer = store_->NewWriter().value();
  ArtifactEntry entry = EntriesOf(Artifact{{{"a", ""}}})[0];
  for (int i = 0; i < kMaxArtifactFiles; ++i) {
    entry.name = Concat("f", i);
    ASSERT_OK(writer->BeginFile(entry));
  }
  entry.name = "one-more";

  EXPECT_THAT(writer->BeginFile(entry),
              ReasonIs(Reason::kInvalidField, HasSubstr("one-more")));
}

TEST_F(ArtifactStoreTest, StoringTheSameAgainHealsADamagedOne) {
  std::string digest = Store(files_);
  WriteBytes(PathOf(digest, "adapter_config.json"), "xx");

  EXPECT_EQ(Store(files_), digest);

  EXPECT_EQ(store_->Read(digest).value().files, files_);
}

TEST_F(ArtifactStoreTest, LeftoversOfAnEarlierProcessAreRemoved) {
  auto writer = store_->NewWriter().value();
  ASSERT_OK(writer->BeginFile(EntriesOf(Artifact{{{"f", "x"}}})[0]));
  ASSERT_EQ(CountTemporary(), 1);

  Reopen();

  EXPECT_EQ(CountTemporary(), 0);
  writer.reset();
}

TEST_F(ArtifactStoreTest, FindsOldOnes) {
  const absl::Time noon = absl::FromUnixSeconds(1704110400);
  std::string one = Store({{"f", "one"}});
  std::string two = Store({{"f", "two"}});
  std::string young = Store({{"f", "young"}});
  SetAge(one, noon - absl::Hours(2));
  SetAge(two, noon - absl::Hours(2));
  SetAge(young, noon - absl::Hours(1));
  auto writer = store_->NewWriter().value();  // an unfinished upload is none

  EXPECT_THAT(store_->FindOlder(noon - absl::Hours(1)).value(),
              UnorderedElementsAre(one, two));
}

TEST_F(ArtifactStoreTest, RemovesOnlyOldOnes) {
  const absl::Time noon = absl::FromUnixSeconds(1704110400);
  std::string digest = Store(files_);
  SetAge(digest, noon);

  EXPECT_FALSE(store_->RemoveOlder(digest, noon).value());
  EXPECT_TRUE(store_->Contains(digest));
  EXPECT_TRUE(store_->RemoveOlder(digest, noon + absl::Seconds(1)).value());
  EXPECT_FALSE(store_->Contains(digest));
  EXPECT_FALSE(store_->RemoveOlder(digest, absl::InfiniteFuture()).value());
  EXPECT_FALSE(store_->RemoveOlder("../tmp", absl::InfiniteFuture()).value());
  EXPECT_EQ(CountTemporary(), 0);
}

TEST_F(ArtifactStoreTest, StoringAgainMakesAnArtifactYoung) {
  const absl::Time noon = absl::FromUnixSeconds(1704110400);
  std::string digest = Store(files_);
  SetAge(digest, noon - absl::Hours(2));

  Store(files_);

  EXPECT_FALSE(store_->RemoveOlder(digest, noon).value());
  EXPECT_TRUE(store_->Contains(digest));
}

TEST_F(ArtifactStoreTest, RemovesAnArtifact) {
  std::string digest = Store(files_);

  EXPECT_OK(store_->Remove(digest));
  EXPECT_OK(store_->Remove(digest));

  EXPECT_FALSE(store_->Contains(digest));
}

}  // namespace
}  // namespace attune::server
