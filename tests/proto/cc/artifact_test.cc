#include "proto/cc/artifact.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

const Artifact& Sample() {
  static const auto* const artifact =
      new Artifact{{{"b.bin", "bytes"}, {"a.json", "{}"}}};
  return *artifact;
}

TEST(Artifact, EntriesAreSortedByName) {
  const auto entries = EntriesOf(Sample());

  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "a.json");
  EXPECT_EQ(entries[0].size_bytes, 2);
  EXPECT_EQ(entries[0].sha256,
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

// printf '44136f... 2 a.json\n277089... 5 b.bin\n' | sha256sum
TEST(Artifact, TheDigestCoversNamesSizesAndBytes) {
  Artifact renamed = Sample();
  renamed.files["c.bin"] = renamed.files["b.bin"];
  renamed.files.erase("b.bin");
  Artifact changed = Sample();
  changed.files["b.bin"] = "byteZ";

  EXPECT_EQ(ArtifactDigest(Sample()), ArtifactDigest(EntriesOf(Sample())));
  EXPECT_NE(ArtifactDigest(Sample()), ArtifactDigest(renamed));
  EXPECT_NE(ArtifactDigest(Sample()), ArtifactDigest(changed));
}

TEST(Artifact, EveryFlippedByteIsFound) {
  const ArtifactEntry entry = EntriesOf(Sample())[1];
  std::string bytes = "bytes";

  EXPECT_OK(VerifyArtifactFile(entry, bytes));
  for (char& byte : bytes) {
    byte ^= 1;
    EXPECT_THAT(
        VerifyArtifactFile(entry, bytes),
        ReasonIs(Reason::kCorruptArtifact, testing::HasSubstr("b.bin")));
    byte ^= 1;
  }
  EXPECT_THAT(VerifyArtifactFile(entry, "byte"),
              ReasonIs(Reason::kCorruptArtifact, testing::_));
}

TEST(Artifact, EntriesThatAreNotAllowedAreNamed) {
  const ArtifactEntry good = EntriesOf(Sample())[0];
  for (const char* name : {"", ".x", "a/b", "a b", ".."}) {
    ArtifactEntry entry = good;
    entry.name = name;
    EXPECT_THAT(CheckArtifactEntry(entry),
                ReasonIs(Reason::kInvalidField, testing::HasSubstr("name")));
  }
  ArtifactEntry large = good;
  large.size_bytes = kMaxArtifactBytes + 1;
  ArtifactEntry undigested = good;
  undigested.sha256 = std::string(64, 'Z');

  EXPECT_OK(CheckArtifactEntry(good));
  EXPECT_THAT(CheckArtifactEntry(large),
              ReasonIs(Reason::kInvalidField, testing::HasSubstr("size")));
  EXPECT_THAT(CheckArtifactEntry(undigested),
              ReasonIs(Reason::kInvalidField, testing::HasSubstr("sha256")));
}

}  // namespace
}  // namespace attune
