#include "worker/models/torch_file.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/torch_file_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Written by tests/golden/make_torch_file_golden.py with torch.save.
constexpr const char* kGoldenTorchFiles[] = {
    "tests/golden/torch_file.bin", "tests/golden/torch_file_protocol5.bin"};

std::map<std::string, at::Tensor> GoldenTensors() {
  const at::Tensor base = at::arange(12, at::kFloat).view({3, 4});
  const at::Tensor integers = at::arange(-3, 3, at::kLong);
  return {{"weight", base},
          {"tied", base},
          {"position_ids", at::arange(5, at::kLong).view({1, 5})},
          {"f32", base / 4},
          {"f64", base[0].to(at::kDouble) / 3},
          {"f16", (base / 4).to(at::kHalf)},
          {"bf16", (base / 4).to(at::kBFloat16)},
          {"i32", integers.to(at::kInt)},
          {"i16", integers.to(at::kShort)},
          {"i8", integers.to(at::kChar)},
          {"u8", at::arange(6, at::kByte)},
          {"bool", at::tensor({1, 0, 1}).to(at::kBool)},
          {"turned", base.t()},
          {"window", at::tensor({4.0f, 6.0f, 8.0f, 10.0f}).view({2, 2})},
          {"scalar", at::tensor(7.5f)[0]},
          {"empty", at::zeros({0, 3})},
          {"parameter", at::ones({2})}};
}

// A storage of these numbers.
std::string FloatBytes(const std::vector<float>& numbers) {
  std::string bytes;
  for (const float number : numbers) bytes += RawBytes(number);
  return bytes;
}

absl::StatusOr<TorchFile> OpenBytes(std::string bytes) {
  return TorchFile::FromBytes(std::move(bytes), "m.bin");
}

// A file with one tensor "w" in a storage of six floats, 0 to 5.
absl::StatusOr<TorchFile> OpenWindow(int64_t offset,
                                     const std::vector<int64_t>& shape,
                                     const std::vector<int64_t>& strides) {
  const std::string tensor = Pickle::Tensor(
      Pickle::Storage("FloatStorage", "0", 6), offset, shape, strides);
  return OpenBytes(
      TorchFileBytes(Pickle::Program(Pickle::Dict({{"w", tensor}})),
                     {{"0", FloatBytes({0, 1, 2, 3, 4, 5})}}));
}

std::string SampleTorchFile() {
  return TorchFileBytes(
      Pickle::Program(Pickle::Dict(
          {{"w", Pickle::Tensor(Pickle::Storage("FloatStorage", "0", 6), 0,
                                {2, 3}, {3, 1})},
           {"b", Pickle::Floats("1", 2)}})),
      {{"0", FloatBytes({0, 1, 2, 3, 4, 5})}, {"1", FloatBytes({6, 7})}});
}

auto IsCorruptTorchFile(const std::string& what) {
  return ReasonIs(Reason::kCorruptModel,
                  AllOf(HasSubstr("m.bin"), HasSubstr(what)));
}

TEST(TorchFile, ReadsWhatTorchSaveWrote) {
  for (const char* path : kGoldenTorchFiles) {
    const auto file = TorchFile::Open(path);

    ASSERT_OK(file);
    EXPECT_EQ(file->entries().size(), GoldenTensors().size());
    for (const auto& [name, tensor] : GoldenTensors()) {
      ASSERT_TRUE(file->Contains(name)) << name;
      const at::Tensor view = *file->View(name);
      EXPECT_EQ(view.scalar_type(), tensor.scalar_type()) << name;
      EXPECT_TRUE(at::equal(view, tensor)) << name;
      EXPECT_TRUE(at::equal(*file->Get(name), tensor)) << name;
    }
  }
}

TEST(TorchFile, ViewsLieInTheFileAndTiedOnesInTheSameBytes) {
  const auto file = TorchFile::Open(kGoldenTorchFiles[0]);
  ASSERT_OK(file);

  EXPECT_EQ(file->View("weight")->const_data_ptr(),
            file->View("weight")->const_data_ptr());
  EXPECT_EQ(file->View("weight")->const_data_ptr(),
            file->View("tied")->const_data_ptr());
  EXPECT_EQ(file->entries().at("turned").begin,
            file->entries().at("turned").end - 48);
}

TEST(TorchFile, AViewKeepsTheBytesAlive) {
  at::Tensor view = *OpenBytes(SampleTorchFile())->View("w");

  EXPECT_EQ(view.sum().item<float>(), 15.0f);
}

TEST(TorchFile, GivesWindowsWithStrides) {
  const at::Tensor turned = *OpenWindow(0, {3, 2}, {1, 3})->View("w");
  const at::Tensor every_other = *OpenWindow(1, {3}, {2})->View("w");

  EXPECT_TRUE(at::equal(turned, at::arange(6, at::kFloat).view({2, 3}).t()));
  EXPECT_FALSE(turned.is_contiguous());
  EXPECT_TRUE(at::equal(every_other, at::tensor({1.0f, 3.0f, 5.0f})));
  EXPECT_TRUE(OpenWindow(0, {3, 2}, {1, 3})->Get("w")->is_contiguous());
}

TEST(TorchFile, ReadsTensorsThatAreNotAligned) {
  ZipBuilder zip;
  zip.Add("m/data.pkl",
          Pickle::Program(Pickle::Dict(
              {{"w", Pickle::Tensor(Pickle::Storage("FloatStorage", "0", 6), 1,
                                    {2, 2}, {1, 2})},
               {"e", Pickle::Tensor(Pickle::Storage("FloatStorage", "0", 6), 1,
                                    {0, 2}, {2, 1})}})));
  zip.Add("odd", "", /*alignment=*/1);
  zip.Add("m/data/0", FloatBytes({0, 1, 2, 3, 4, 5}), /*alignment=*/1);
  std::string bytes = zip.Build();
  const size_t begin = bytes.find(FloatBytes({0, 1, 2, 3, 4, 5}));
  ASSERT_NE(begin % 4, 0u);

  const auto file = OpenBytes(bytes);

  ASSERT_OK(file);
  EXPECT_TRUE(at::equal(*file->View("w"),
                        at::tensor({1.0f, 3.0f, 2.0f, 4.0f}).view({2, 2})));
  EXPECT_THAT(file->View("e")->sizes(), ElementsAre(0, 2));
}

TEST(TorchFile, StridesThatAddressNothingMayBeAnything) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

  const at::Tensor row =
      *OpenWindow(0, {1, 6, 1}, {kHuge, 1, kHuge})->View("w");
  const at::Tensor none = *OpenWindow(6, {2, 0}, {kHuge, kHuge})->View("w");

  EXPECT_THAT(row.strides(), ElementsAre(6, 1, 1));
  EXPECT_EQ(row.sum().item<float>(), 15.0f);
  EXPECT_EQ(none.numel(), 0);
}

TEST(TorchFile, RefusesTensorsBeyondTheirStorage) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

  EXPECT_OK(OpenWindow(0, {2, 3}, {3, 1}));
  for (const auto& refused :
       {OpenWindow(1, {2, 3}, {3, 1}), OpenWindow(0, {2, 3}, {4, 1}),
        OpenWindow(0, {7}, {1}), OpenWindow(6, {1}, {1}),
        OpenWindow(7, {0}, {1}), OpenWindow(6, {}, {}),
        OpenWindow(kHuge, {2}, {1}), OpenWindow(0, {2}, {kHuge}),
        OpenWindow(0, {kHuge}, {kHuge}), OpenWindow(1, {3, 3}, {kHuge, 1}),
        // As many elements as fit 64 bits, over and over the same ones.
        OpenWindow(0, {7}, {0}), OpenWindow(0, {kHuge}, {0}),
        // A size of zero hides no overflow.
        OpenWindow(0, {0, kHuge, kHuge}, {1, 1, 1})}) {
    EXPECT_THAT(refused, IsCorruptTorchFile("tensor 'w' of shape ["));
    EXPECT_THAT(refused, IsCorruptTorchFile("storage of 6 elements"));
  }
}

TEST(TorchFile, RefusesStoragesThatTheArchiveLacksOrHasInAnotherSize) {
  const std::string pickle =
      Pickle::Program(Pickle::Dict({{"w", Pickle::Floats("0", 2)}}));

  EXPECT_THAT(OpenBytes(TorchFileBytes(pickle, {})),
              IsCorruptTorchFile("'w' is in storage '0'"));
  EXPECT_THAT(OpenBytes(TorchFileBytes(pickle, {{"0", FloatBytes({1})}})),
              IsCorruptTorchFile("the archive has 4 bytes"));
  EXPECT_THAT(OpenBytes(TorchFileBytes(pickle, {{"0", FloatBytes({1, 2, 3})}})),
              IsCorruptTorchFile("the archive has 12 bytes"));
  EXPECT_THAT(OpenBytes(TorchFileBytes(
                  Pickle::Program(Pickle::Dict(
                      {{"w", Pickle::Tensor(Pickle::Storage("DoubleStorage",
                                                            "0", 1L << 61),
                                            0, {1}, {1})}})),
                  {{"0", FloatBytes({1, 2})}})),
              IsCorruptTorchFile("the archive has 8 bytes"));
}

TEST(TorchFile, RefusesThePickleOfAnotherProgram) {
  const std::string attack = Pickle::Global("os", "system") +
                             Pickle::Tuple({Pickle::Text("true")}) + "R";

  EXPECT_THAT(OpenBytes(TorchFileBytes(Pickle::Program(attack), {})),
              IsCorruptTorchFile("data.pkl at byte 2, opcode 0x63: global "
                                 "'os.system'"));
}

TEST(TorchFile, NamesTheRemedyForTheOldFormat) {
  // Its magic number, as a pickle.
  EXPECT_THAT(
      OpenBytes("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
      IsCorruptTorchFile("before torch 1.6: save it again"));
}

TEST(TorchFile, RefusesArchivesOfOtherKinds) {
  const std::string pickle = Pickle::Program("}");
  const auto open =
      [](const std::vector<std::pair<std::string, std::string>>& entries) {
        ZipBuilder zip;
        for (const auto& [name, content] : entries) zip.Add(name, content);
        return OpenBytes(zip.Build());
      };

  EXPECT_OK(open({{"m/data.pkl", pickle}}));
  EXPECT_THAT(OpenBytes("not an archive"), IsCorruptTorchFile("ZIP directory"));
  EXPECT_THAT(open({}), IsCorruptTorchFile("without data.pkl"));
  EXPECT_THAT(open({{"data.pkl", pickle}}),
              IsCorruptTorchFile("without data.pkl"));
  EXPECT_THAT(open({{"m/code.py", ""}, {"n/data.pkl", pickle}}),
              IsCorruptTorchFile("without data.pkl"));
  EXPECT_THAT(open({{"m/data.pkl", pickle}, {"m/byteorder", "big"}}),
              IsCorruptTorchFile("byte order 'big'"));
  EXPECT_THAT(open({{"m/data.pkl", pickle}, {"m/version", "11"}}),
              IsCorruptTorchFile("version '11'"));
  EXPECT_THAT(open({{"m/data.pkl", pickle}, {"m/version", "x"}}),
              IsCorruptTorchFile("version 'x'"));
}

TEST(TorchFile, HasNoTensorOfAnotherName) {
  const auto file = OpenBytes(SampleTorchFile());

  EXPECT_FALSE(file->Contains("x"));
  EXPECT_THAT(file->View("x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'x'")));
  EXPECT_THAT(TorchFile::Open("tests/golden/none.bin"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.bin")));
}

TEST(TorchFile, EveryTruncationIsRefused) {
  for (const std::string& bytes :
       {SampleTorchFile(), ReadBytes(kGoldenTorchFiles[0])}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_THAT(OpenBytes(bytes.substr(0, size)), IsCorruptTorchFile(""))
          << size;
    }
  }
}

TEST(TorchFile, FlippedBitsNeverReachBeyondTheFile) {
  std::mt19937 random(17);
  for (const std::string& bytes :
       {SampleTorchFile(), ReadBytes(kGoldenTorchFiles[0]),
        ReadBytes(kGoldenTorchFiles[1])}) {
    for (int i = 0; i < 3000; ++i) {
      std::string flipped = bytes;
      flipped[random() % flipped.size()] ^=
          static_cast<char>(1 << random() % 8);
      const auto file = OpenBytes(flipped);
      if (!file.ok()) {
        EXPECT_THAT(file, IsCorruptTorchFile(""));
        continue;
      }
      // Still well formed: every byte of every tensor can be read.
      for (const auto& [name, entry] : file->entries()) {
        EXPECT_LE(entry.end, flipped.size());
        EXPECT_OK(file->Get(name));
      }
    }
  }
}

}  // namespace
}  // namespace attune::worker
