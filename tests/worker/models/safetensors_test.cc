#include "worker/models/safetensors.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/resident_memory.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The bytes of a file with this header and so many bytes of data.
std::string File(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  return bytes + header + std::string(data_bytes, '\0');
}

std::string Tensor(const std::string& name, const std::string& dtype,
                   const std::string& shape, size_t begin, size_t end) {
  return Concat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[", shape,
                "],\"data_offsets\":[", begin, ",", end, "]}");
}

absl::Status Open(std::string bytes) {
  return Safetensors::FromBytes(std::move(bytes), "m.safetensors").status();
}

auto IsCorruptFile(const std::string& what) {
  return ReasonIs(Reason::kCorruptModel,
                  AllOf(HasSubstr("m.safetensors"), HasSubstr(what)));
}

TensorMap SampleTensors() {
  return {{"b", at::arange(6, at::kFloat).view({2, 3})},
          {"a", at::ones({3}, at::kByte)},
          {"c", at::arange(4, at::kDouble).to(at::kBFloat16)},
          {"empty", at::zeros({0, 4}, at::kFloat)}};
}

TEST(Safetensors, ReadsWhatItWrote) {
  const auto bytes = WriteSafetensors(SampleTensors(), {{"made", "here"}});
  ASSERT_OK(bytes);

  const auto file = Safetensors::FromBytes(*bytes, "memory");

  ASSERT_OK(file);
  EXPECT_EQ(file->entries().size(), 4u);
  EXPECT_EQ(file->metadata().at("made"), "here");
  for (const auto& [name, tensor] : SampleTensors()) {
    EXPECT_TRUE(at::equal(*file->Get(name), tensor)) << name;
  }
}

TEST(Safetensors, WritesTheSameBytesToAFile) {
  const TempDirectory directory;
  const std::string path = directory / "m.safetensors";

  ASSERT_OK(WriteSafetensorsFile(path, SampleTensors(), {{"k", "v"}}));

  EXPECT_EQ(ReadBytes(path), *WriteSafetensors(SampleTensors(), {{"k", "v"}}));
  const auto file = Safetensors::Open(path);
  ASSERT_OK(file);
  EXPECT_THAT(file->View("b")->sizes(), ElementsAre(2, 3));
}

TEST(Safetensors, AViewKeepsTheBytesAlive) {
  at::Tensor view;
  {
    const auto bytes = WriteSafetensors(SampleTensors());
    view = *Safetensors::FromBytes(*bytes, "memory")->View("b");
  }

  EXPECT_EQ(view.sum().item<float>(), 15.0f);
}

TEST(Safetensors, PagesLeaveMemoryWithTheView) {
  const int64_t bytes = int64_t{32} << 20;
  const TempDirectory directory;
  const std::string path = directory / "m.safetensors";
  ASSERT_OK(WriteSafetensorsFile(path, {{"a", at::ones({bytes}, at::kByte)}}));
  const auto file = Safetensors::Open(path);
  ASSERT_OK(file);
  const int64_t before = MappedBytes();
  {
    const at::Tensor view = *file->View("a");
    EXPECT_EQ(view.sum().item<int64_t>(), bytes);
    EXPECT_GT(MappedBytes(), before + bytes / 2);
  }

  EXPECT_LT(MappedBytes(), before + bytes / 4);
  EXPECT_EQ(file->View("a")->sum().item<int64_t>(), bytes);
}

TEST(Safetensors, ReadsTensorsThatAreNotAligned) {
  const auto file =
      Safetensors::FromBytes(File("{" + Tensor("a", "U8", "1", 0, 1) + "," +
                                      Tensor("b", "F32", "2", 1, 9) + "}",
                                  9),
                             "memory");

  ASSERT_OK(file);
  EXPECT_EQ(file->View("b")->sum().item<float>(), 0.0f);
}

TEST(Safetensors, HasNoTensorOfAnotherName) {
  const auto file =
      Safetensors::FromBytes(*WriteSafetensors(SampleTensors()), "m");

  EXPECT_FALSE(file->Contains("x"));
  EXPECT_THAT(file->View("x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'x'")));
}

TEST(Safetensors, RefusesToWriteWhatTheFormatLacks) {
  EXPECT_THAT(WriteSafetensors({{"c", at::zeros({1}, at::kComplexFloat)}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'c'")));
  EXPECT_THAT(WriteSafetensors({{"t", at::zeros({2, 3}).t()}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'t'")));
}

TEST(Safetensors, RefusesATruncatedHeader) {
  EXPECT_THAT(Open(""), IsCorruptFile("8 bytes"));
  EXPECT_THAT(Open("1234567"), IsCorruptFile("8 bytes"));
  EXPECT_THAT(Open(File("{}", 0).substr(0, 9)),
              IsCorruptFile("header of 2 bytes"));
}

TEST(Safetensors, RefusesAHugeHeader) {
  std::string bytes = File("{}", 0);
  bytes[7] = 0x7f;
  EXPECT_THAT(Open(bytes), IsCorruptFile("header of"));

  EXPECT_THAT(Open(File(std::string(Safetensors::kMaxHeaderBytes + 1, ' '), 0)),
              IsCorruptFile("header of 16777217 bytes"));
}

TEST(Safetensors, RefusesAHeaderThatIsNoObjectOfTensors) {
  EXPECT_THAT(Open(File("[1]", 0)), IsCorruptFile("not an object"));
  EXPECT_THAT(Open(File("{\"a\":", 0)), IsCorruptFile("JSON"));
  EXPECT_THAT(Open(File("{\"a\":1}", 0)), IsCorruptFile("'a' needs exactly"));
  EXPECT_THAT(Open(File("{\"__metadata__\":{\"a\":1}}", 0)),
              IsCorruptFile("'a' is not a string"));
  EXPECT_THAT(Open(File("{\"a\":{\"dtype\":\"F32\",\"shape\":[[1]],"
                        "\"data_offsets\":[0,4]}}",
                        4)),
              IsCorruptFile("nested deeper than 3"));
}

TEST(Safetensors, RefusesTooManyTensors) {
  std::string header = "{";
  for (size_t i = 0; i <= Safetensors::kMaxTensors; ++i) {
    header += Concat(i == 0 ? "" : ",", Tensor(Concat(i), "U8", "0", 0, 0));
  }
  EXPECT_THAT(Open(File(header + "}", 0)), IsCorruptFile("10000 tensors"));
}

TEST(Safetensors, RefusesDuplicateNames) {
  EXPECT_THAT(Open(File("{" + Tensor("a", "U8", "1", 0, 1) + "," +
                            Tensor("a", "U8", "1", 1, 2) + "}",
                        2)),
              IsCorruptFile("'a' occurs twice"));
}

TEST(Safetensors, RefusesUnknownDtypes) {
  EXPECT_THAT(Open(File("{" + Tensor("a", "F8_E4M3", "1", 0, 1) + "}", 1)),
              IsCorruptFile("unsupported dtype \"F8_E4M3\""));
}

TEST(Safetensors, RefusesDescriptionsOfWrongKinds) {
  const auto with = [](const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
    return Open(File(Concat("{\"a\":{\"dtype\":", dtype, ",\"shape\":", shape,
                            ",\"data_offsets\":", offsets, "}}"),
                     4));
  };
  EXPECT_OK(with("\"F32\"", "[1]", "[0,4]"));
  EXPECT_THAT(with("7", "[1]", "[0,4]"),
              IsCorruptFile("'a' has unsupported dtype 7"));
  EXPECT_THAT(with("\"F32\"", "1", "[0,4]"), IsCorruptFile("'a' has no shape"));
  EXPECT_THAT(with("\"F32\"", "[1.5]", "[0,4]"), IsCorruptFile("size 1.5"));
  for (const char* offsets :
       {"4", "[0]", "[0,4,4]", "[\"0\",4]", "[-4,0]", "[0,4.0]"}) {
    EXPECT_THAT(with("\"F32\"", "[1]", offsets),
                IsCorruptFile("'a' has data_offsets that are no pair"))
        << offsets;
  }
}

TEST(Safetensors, RefusesOffsetsBeyondTheFile) {
  EXPECT_THAT(Open(File("{" +
                            Tensor("a", "U8", "4", 18446744073709551612u,
                                   18446744073709551615u) +
                            "}",
                        4)),
              IsCorruptFile("'a' has offsets"));
  EXPECT_THAT(Open(File("{" + Tensor("a", "U8", "8", 0, 8) + "}", 4)),
              IsCorruptFile("end at byte 8 of the data, which has 4"));
}

TEST(Safetensors, RefusesDuplicateKeysOfOneTensor) {
  EXPECT_THAT(
      Open(File("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[],"
                "\"data_offsets\":[0,1]}}",
                1)),
      IsCorruptFile("key 'dtype' occurs twice"));
}

TEST(Safetensors, RefusesShapesThatOverflow) {
  EXPECT_THAT(
      Open(File("{" + Tensor("a", "F32", "4294967296,4294967296", 0, 0) + "}",
                0)),
      IsCorruptFile("overflows"));
  EXPECT_THAT(
      Open(
          File("{" + Tensor("a", "U8", "18446744073709551615", 0, 0) + "}", 0)),
      IsCorruptFile("overflows"));
  EXPECT_THAT(Open(File("{" + Tensor("a", "U8", "-1", 0, 1) + "}", 1)),
              IsCorruptFile("size -1"));
}

TEST(Safetensors, ASizeOfZeroHidesNoOverflow) {
  const std::string huge = "0,4611686018427387904,4611686018427387904";

  EXPECT_THAT(Open(File("{" + Tensor("a", "U8", huge, 0, 0) + "}", 0)),
              IsCorruptFile("overflows"));
}

TEST(Safetensors, RefusesMoreDimensionsThanAnyTensorHas) {
  EXPECT_OK(
      Open(File("{" + Tensor("a", "U8", "1,1,1,1,1,1,1,1", 0, 1) + "}", 1)));
  EXPECT_THAT(
      Open(File("{" + Tensor("a", "U8", "1,1,1,1,1,1,1,1,1", 0, 1) + "}", 1)),
      IsCorruptFile("9 dimensions"));
}

TEST(Safetensors, RefusesOffsetsThatDisagreeWithTheShape) {
  EXPECT_THAT(Open(File("{" + Tensor("a", "F32", "2", 0, 4) + "}", 4)),
              IsCorruptFile("shape of 8 bytes"));
  EXPECT_THAT(Open(File("{" + Tensor("a", "F32", "1", 8, 4) + "}", 8)),
              IsCorruptFile("offsets [8, 4]"));
}

TEST(Safetensors, RefusesGapsOverlapsAndAWrongEnd) {
  const std::string first = Tensor("a", "U8", "4", 0, 4);
  EXPECT_THAT(
      Open(File("{" + first + "," + Tensor("b", "U8", "4", 5, 9) + "}", 9)),
      IsCorruptFile("'b' begins at 5, not at 4"));
  EXPECT_THAT(
      Open(File("{" + first + "," + Tensor("b", "U8", "4", 3, 7) + "}", 7)),
      IsCorruptFile("'b' begins at 3, not at 4"));
  EXPECT_THAT(Open(File("{" + first + "}", 5)),
              IsCorruptFile("end at byte 4 of the data, which has 5"));
  EXPECT_THAT(Open(File("{" + first + "}", 3)), IsCorruptFile("which has 3"));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string bytes = *WriteSafetensors(SampleTensors());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(Open(bytes.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("")))
        << size;
  }
}

TEST(Safetensors, FlippedBitsNeverReachBeyondTheFile) {
  const std::string bytes = *WriteSafetensors(SampleTensors());
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = bytes;
    flipped[random() % flipped.size()] ^= static_cast<char>(1 << random() % 8);
    const auto file = Safetensors::FromBytes(flipped, "m");
    if (!file.ok()) continue;
    // Still well formed: every byte of every tensor can be read.
    for (const auto& [name, entry] : file->entries()) {
      EXPECT_OK(file->Get(name));
    }
  }
}

}  // namespace
}  // namespace attune::worker
