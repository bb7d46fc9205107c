#include "worker/models/zip_archive.h"

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/torch_file_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ZipBuilder SampleZip(bool zip64 = false) {
  ZipBuilder zip;
  zip.zip64 = zip64;
  zip.Add("m/first", "one");
  zip.Add("m/second", "second");
  zip.Add("m/empty", "");
  return zip;
}

std::string Content(const std::string& bytes, const std::string& name) {
  const auto archive = ZipArchive::Parse(bytes, "m.zip");
  EXPECT_OK(archive);
  const auto range = archive->Find(name);
  return range ? bytes.substr(range->begin, range->end - range->begin) : "none";
}

// The archive with `bytes` written over it, `offset` behind the `nth`
// occurrence of `signature`.
std::string SpoiledZip(const ZipBuilder& zip, const std::string& signature,
                       int nth, size_t offset, const std::string& bytes) {
  std::string spoiled = zip.Build();
  size_t at = spoiled.find(signature);
  for (int i = 0; i < nth; ++i) at = spoiled.find(signature, at + 1);
  return spoiled.replace(at + offset, bytes.size(), bytes);
}

constexpr char kLocal[] = "PK\3\4";
constexpr char kCentral[] = "PK\1\2";
constexpr char kEnd[] = "PK\5\6";
constexpr char kZip64End[] = "PK\6\6";

absl::Status ParseZip(const std::string& bytes) {
  return ZipArchive::Parse(bytes, "m.zip").status();
}

auto IsCorruptZip(const std::string& what) {
  return ReasonIs(Reason::kCorruptModel,
                  AllOf(HasSubstr("m.zip"), HasSubstr(what)));
}

TEST(ZipArchive, FindsTheContentOfEntries) {
  for (const bool zip64 : {false, true}) {
    const std::string bytes = SampleZip(zip64).Build();

    EXPECT_EQ(ZipArchive::Parse(bytes, "m")->first_name(), "m/first");
    EXPECT_EQ(Content(bytes, "m/first"), "one");
    EXPECT_EQ(Content(bytes, "m/second"), "second");
    EXPECT_EQ(Content(bytes, "m/empty"), "");
    EXPECT_EQ(Content(bytes, "m/third"), "none");
  }
}

TEST(ZipArchive, MayBeEmpty) {
  const auto archive = ZipArchive::Parse(ZipBuilder().Build(), "m.zip");

  ASSERT_OK(archive);
  EXPECT_EQ(archive->first_name(), "");
}

TEST(ZipArchive, RefusesFilesThatEndOtherwise) {
  EXPECT_THAT(ParseZip(""), IsCorruptZip("no ZIP directory"));
  EXPECT_THAT(ParseZip("PK"), IsCorruptZip("no ZIP directory"));
  EXPECT_THAT(ParseZip(SampleZip().Build() + "x"),
              IsCorruptZip("no ZIP directory"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kEnd, 0, 20, "\1")),
              IsCorruptZip("comment"));
}

TEST(ZipArchive, RefusesCompressedAndEncryptedEntries) {
  for (const auto& [signature, flags] :
       {std::pair(kCentral, 8), std::pair(kLocal, 6)}) {
    EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), signature, 1, flags, "\1")),
                IsCorruptZip("'m/second' is encrypted"));
    EXPECT_THAT(
        ParseZip(SpoiledZip(SampleZip(), signature, 1, flags + 2, "\10")),
        IsCorruptZip("'m/second' is compressed (method 8)"));
  }
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kCentral, 1, 20, "\5")),
              IsCorruptZip("'m/second' of 6 bytes is stored in 5"));
}

TEST(ZipArchive, RefusesEntriesOutsideTheFile) {
  const std::string far = RawBytes(uint32_t{0x7fffffff});
  const std::string huge = RawBytes(~uint64_t{0});

  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kCentral, 1, 42, far)),
              IsCorruptZip("'m/second' is at byte 2147483647"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kCentral, 1, 20, far + far)),
              IsCorruptZip("'m/second' of 2147483647 bytes reaches beyond"));
  // In ZIP64's own field: sizes, then the place.
  const size_t field = 46 + std::string("m/second").size() + 4;
  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(true), kCentral, 1, field, huge + huge)),
      IsCorruptZip("reaches beyond"));
  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(true), kCentral, 1, field + 16, huge)),
      IsCorruptZip("outside"));
}

TEST(ZipArchive, RefusesEntriesThatShareBytes) {
  ZipBuilder zip;
  zip.Add("a", "a", /*alignment=*/1);
  zip.Add("b", "bb", /*alignment=*/1);
  // b's size makes it end inside the next entry's header.
  zip.Add("c", "", /*alignment=*/1);

  EXPECT_THAT(
      ParseZip(SpoiledZip(zip, kCentral, 1, 20,
                          RawBytes(uint32_t{10}) + RawBytes(uint32_t{10}))),
      IsCorruptZip("begins inside another"));
}

TEST(ZipArchive, RefusesNamesThatDisagreeOrRepeat) {
  ZipBuilder twice;
  twice.Add("a", "1");
  twice.Add("a", "2");

  EXPECT_THAT(ParseZip(twice.Build()), IsCorruptZip("'a' is there twice"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kLocal, 1, 30, "x")),
              IsCorruptZip("header is not of entry 'm/second'"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kLocal, 1, 0, "x")),
              IsCorruptZip("no header of entry 'm/second'"));
  ZipBuilder long_name;
  long_name.Add(std::string(ZipArchive::kMaxEntryNameBytes + 1, 'n'), "");
  EXPECT_THAT(ParseZip(long_name.Build()), IsCorruptZip("name of 1025 bytes"));
}

TEST(ZipArchive, RefusesADirectoryThatIsNotWhereItSays) {
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kEnd, 0, 12, "\1")),
              IsCorruptZip("does not end at byte"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kEnd, 0, 16, "\1")),
              IsCorruptZip("does not end at byte"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kCentral, 0, 0, "x")),
              IsCorruptZip("no entry of the directory"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kCentral, 2, 28, "\xff\xff")),
              IsCorruptZip("beyond the directory"));
  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(), kEnd, 0, 8, std::string("\2\0\2\0", 4))),
      IsCorruptZip("goes on behind its 2 entries"));
}

TEST(ZipArchive, RefusesZip64RecordsThatDisagree) {
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(true), kZip64End, 0, 0, "x")),
              IsCorruptZip("no ZIP64 record"));
  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(true), kEnd, 0, 12, RawBytes(uint32_t{7}))),
      IsCorruptZip("no ZIP64 record"));
  // The extra field's length.
  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(true), kCentral, 0,
                          46 + std::string("m/first").size() + 2, "\x40")),
      IsCorruptZip("extra field reaches beyond"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(true), kCentral, 0,
                                  46 + std::string("m/first").size(), "\2")),
              IsCorruptZip("is at byte 4294967295"));
}

TEST(ZipArchive, RefusesAbsurdCounts) {
  const std::string absurd = RawBytes(~uint64_t{0});

  EXPECT_THAT(
      ParseZip(SpoiledZip(SampleZip(true), kZip64End, 0, 24, absurd + absurd)),
      IsCorruptZip("claims 18446744073709551615 entries"));
  EXPECT_THAT(ParseZip(SpoiledZip(SampleZip(), kEnd, 0, 8, "\x20\x4e\x20\x4e")),
              IsCorruptZip("no entry of the directory"));
}

TEST(ZipArchive, EveryTruncationIsRefused) {
  for (const bool zip64 : {false, true}) {
    const std::string bytes = SampleZip(zip64).Build();
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_THAT(ParseZip(bytes.substr(0, size)), IsCorruptZip("")) << size;
    }
  }
}

TEST(ZipArchive, FlippedBitsNeverReachBeyondTheFile) {
  std::mt19937 random(11);
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = SampleZip(i % 2 == 0).Build();
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    const auto archive = ZipArchive::Parse(bytes, "m.zip");
    if (!archive.ok()) continue;
    for (const char* name : {"m/first", "m/second", "m/empty"}) {
      const auto range = archive->Find(name);
      if (!range) continue;
      EXPECT_LE(range->begin, range->end);
      EXPECT_LE(range->end, bytes.size());
    }
  }
}

}  // namespace
}  // namespace attune::worker
