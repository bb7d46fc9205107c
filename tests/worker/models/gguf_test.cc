#include "worker/models/gguf.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gguf_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kQ8_0 = 8;

absl::Status Open(const GgufBuilder& builder) {
  return Gguf::FromBytes(builder.Build(), "m.gguf").status();
}

auto IsCorruptGguf(const std::string& what) {
  return ReasonIs(Reason::kCorruptModel,
                  AllOf(HasSubstr("m.gguf"), HasSubstr(what)));
}

GgufBuilder SampleGguf() {
  GgufBuilder builder;
  builder.Set("name", "tiny");
  builder.Set("count", 7u);
  builder.Set("epsilon", 0.5f);
  builder.Set("tokens", std::vector<std::string>{"a", "bc"});
  builder.Set("types", std::vector<int32_t>{1, -3});
  builder.Entry("flag", GgufBuilder::kBool, std::string(1, '\1'));
  std::string numbers;
  for (int i = 0; i < 6; ++i) numbers += GgufBuilder::Raw(float(i));
  builder.Tensor("w", {3, 2}, GgufBuilder::kF32, numbers);
  builder.Tensor("v", {2}, GgufBuilder::kF32, numbers.substr(0, 8));
  return builder;
}

TEST(Gguf, ReadsMetadataOfEveryKind) {
  const auto gguf = Gguf::FromBytes(SampleGguf().Build(), "m.gguf");

  ASSERT_OK(gguf);
  EXPECT_EQ(*gguf->Get<std::string>("name"), "tiny");
  EXPECT_EQ(*gguf->Get<int64_t>("count"), 7);
  EXPECT_EQ(*gguf->Get<double>("epsilon"), 0.5);
  EXPECT_EQ(*gguf->Get<bool>("flag"), true);
  EXPECT_THAT(*gguf->Get<std::vector<std::string>>("tokens"),
              ElementsAre("a", "bc"));
  EXPECT_THAT(*gguf->Get<std::vector<int64_t>>("types"), ElementsAre(1, -3));
}

TEST(Gguf, TurnsShapesAroundToRowMajor) {
  const auto gguf = Gguf::FromBytes(SampleGguf().Build(), "m.gguf");

  const auto tensor = gguf->Decode("w");

  ASSERT_OK(tensor);
  EXPECT_THAT(tensor->sizes(), ElementsAre(2, 3));
  EXPECT_EQ(tensor->select(0, 1).select(0, 0).item<float>(), 3.0f);
}

TEST(Gguf, NamesKeysThatAreMissingOrOfAnotherType) {
  const auto gguf = Gguf::FromBytes(SampleGguf().Build(), "m.gguf");

  EXPECT_THAT(gguf->Get<int64_t>("none"), IsCorruptGguf("'none' is missing"));
  EXPECT_THAT(gguf->Get<int64_t>("name"),
              IsCorruptGguf("'name' has another type"));
  EXPECT_EQ(*gguf->GetOr<int64_t>("none", 3), 3);
  EXPECT_THAT(gguf->Decode("none"), IsCorruptGguf("no tensor 'none'"));
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(Gguf::FromBytes("GGML", "m.gguf"),
              IsCorruptGguf("does not begin with 'GGUF'"));
  GgufBuilder builder;
  builder.version = 1;
  EXPECT_THAT(Open(builder), IsCorruptGguf("version 1"));
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  GgufBuilder builder = SampleGguf();
  builder.num_tensors = uint64_t{1} << 60;
  EXPECT_THAT(Open(builder),
              IsCorruptGguf("claims 1152921504606846976 tensors"));

  builder = SampleGguf();
  builder.num_entries = 70'000;
  EXPECT_THAT(Open(builder), IsCorruptGguf("70000 metadata entries"));

  builder = GgufBuilder();
  builder.num_entries = 1;
  EXPECT_THAT(Open(builder), StatusIs(absl::StatusCode::kDataLoss,
                                      HasSubstr("m.gguf: at byte")));
}

TEST(Gguf, RefusesStringsAndArraysLongerThanTheFile) {
  GgufBuilder builder;
  builder.Entry("s", GgufBuilder::kString,
                GgufBuilder::Raw<uint64_t>(uint64_t{1} << 62));
  EXPECT_THAT(Open(builder),
              IsCorruptGguf("string of 4611686018427387904 bytes"));

  builder = GgufBuilder();
  builder.Entry("a", GgufBuilder::kArray,
                GgufBuilder::Raw(GgufBuilder::kUint32) +
                    GgufBuilder::Raw<uint64_t>(uint64_t{1} << 61));
  EXPECT_THAT(Open(builder), IsCorruptGguf("array of 2305843009213693952"));

  builder = GgufBuilder();
  builder.Entry("a", GgufBuilder::kArray,
                GgufBuilder::Raw(GgufBuilder::kString) +
                    GgufBuilder::Raw<uint64_t>(uint64_t{1} << 61));
  EXPECT_THAT(Open(builder),
              IsCorruptGguf("array of 2305843009213693952 elements"));
}

TEST(Gguf, LimitsTheElementsOfAllArraysTogether) {
  const size_t half = Gguf::kMaxElements / 2 + 1;
  const std::string array = GgufBuilder::Raw(GgufBuilder::kUint8) +
                            GgufBuilder::Raw<uint64_t>(half) +
                            std::string(half, '\0');
  GgufBuilder builder;
  builder.Entry("a", GgufBuilder::kArray, array);
  EXPECT_OK(Open(builder));

  builder.Entry("b", GgufBuilder::kArray, array);
  EXPECT_THAT(Open(builder), IsCorruptGguf("more than 8388608 in all"));
}

TEST(Gguf, RefusesNestedArraysAndUnknownTypes) {
  GgufBuilder builder;
  builder.Entry("a", GgufBuilder::kArray,
                GgufBuilder::Raw(GgufBuilder::kArray) +
                    GgufBuilder::Raw<uint64_t>(1) + std::string(64, '\0'));
  EXPECT_THAT(Open(builder), IsCorruptGguf("value type 9 in an array"));

  builder = GgufBuilder();
  builder.Entry("a", 99, std::string(8, '\0'));
  EXPECT_THAT(Open(builder), IsCorruptGguf("value type 99"));
}

TEST(Gguf, RefusesDuplicates) {
  GgufBuilder builder = SampleGguf();
  builder.Set("name", "again");
  EXPECT_THAT(Open(builder), IsCorruptGguf("key 'name' occurs twice"));

  builder = SampleGguf();
  builder.Tensor("w", {1}, GgufBuilder::kF32, "1234");
  EXPECT_THAT(Open(builder), IsCorruptGguf("tensor 'w' occurs twice"));
}

TEST(Gguf, NamesComeEscapedAndCut) {
  GgufBuilder builder = SampleGguf();
  builder.Set("a\n\x1b[2J", 1u);
  builder.Set("a\n\x1b[2J", 2u);
  EXPECT_THAT(Open(builder), IsCorruptGguf(R"(key 'a\n\x1b[2J' occurs twice)"));

  builder = SampleGguf();
  builder.Info(std::string(1000, 'n'), {}, GgufBuilder::kF32, 0);
  EXPECT_THAT(Open(builder),
              IsCorruptGguf("'" + std::string(100, 'n') + "...' has 0"));
}

TEST(Gguf, RefusesImpossibleShapes) {
  const auto with_shape = [](const std::vector<uint64_t>& shape) {
    GgufBuilder builder;
    builder.Info("t", shape, GgufBuilder::kF32, 0);
    return Open(builder);
  };
  EXPECT_THAT(with_shape({}), IsCorruptGguf("'t' has 0 dimensions"));
  EXPECT_THAT(with_shape({1, 1, 1, 1, 1}), IsCorruptGguf("5 dimensions"));
  EXPECT_THAT(with_shape({4, 0}), IsCorruptGguf("size 0"));
  EXPECT_THAT(with_shape({uint64_t{1} << 40, uint64_t{1} << 40}),
              IsCorruptGguf("beyond 63 bits"));
  EXPECT_THAT(with_shape({~uint64_t{0}}), IsCorruptGguf("beyond 63 bits"));
  EXPECT_THAT(with_shape({uint64_t{1} << 62}),
              IsCorruptGguf("whole F32 blocks"));
}

TEST(Gguf, RefusesPartsOfBlocks) {
  GgufBuilder builder;
  builder.Tensor("t", {31}, kQ8_0, std::string(34, '\0'));
  EXPECT_THAT(Open(builder), IsCorruptGguf("whole Q8_0 blocks"));
}

TEST(Gguf, NamesTensorTypesThatAreNotSupported) {
  GgufBuilder builder;
  builder.Tensor("t", {256}, /*type=*/10, std::string(256, '\0'));

  EXPECT_THAT(Open(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("'t'"), HasSubstr("type 10"))));
}

TEST(Gguf, RefusesTensorsBeyondTheFile) {
  GgufBuilder builder;
  builder.Info("t", {1024}, GgufBuilder::kF32, 0);
  EXPECT_THAT(Open(builder), IsCorruptGguf("beyond the end"));

  builder = SampleGguf();
  builder.Info("t", {2}, GgufBuilder::kF32, uint64_t{1} << 63);
  EXPECT_THAT(Open(builder), IsCorruptGguf("beyond the end"));
}

TEST(Gguf, RefusesMisalignedAndOverlappingTensors) {
  GgufBuilder builder = SampleGguf();
  builder.Info("t", {1}, GgufBuilder::kF32, 4);
  EXPECT_THAT(Open(builder), IsCorruptGguf("misaligned"));

  builder = SampleGguf();
  builder.Info("t", {1}, GgufBuilder::kF32, 0);
  EXPECT_THAT(Open(builder), IsCorruptGguf("overlap"));
}

TEST(Gguf, RefusesImpossibleAlignments) {
  for (const uint32_t alignment : {0u, 24u, 1u << 20}) {
    GgufBuilder builder = SampleGguf();
    builder.Set("general.alignment", alignment);
    EXPECT_THAT(Open(builder), IsCorruptGguf("alignment"));
  }
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string bytes = SampleGguf().Build();
  // The last tensor's padding may be cut off.
  for (size_t size = 0; size + 24 < bytes.size(); ++size) {
    EXPECT_THAT(Gguf::FromBytes(bytes.substr(0, size), "m"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("")))
        << size;
  }
}

TEST(Gguf, FlippedBitsNeverReachBeyondTheFile) {
  const std::string bytes = SampleGguf().Build();
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = bytes;
    flipped[random() % flipped.size()] ^= static_cast<char>(1 << random() % 8);
    const auto gguf = Gguf::FromBytes(flipped, "m");
    if (!gguf.ok()) continue;
    for (const auto& [name, tensor] : gguf->tensors()) {
      EXPECT_OK(gguf->Decode(name));
    }
  }
}

}  // namespace
}  // namespace attune::worker
