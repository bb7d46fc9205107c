#include "worker/models/checkpoint.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/models/torch_file_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CheckpointTest : public testing::Test {
 protected:
  void Write(const std::string& file, const TensorMap& tensors) {
    ASSERT_OK(WriteSafetensorsFile(directory_ / file, tensors));
  }
  void WriteIndex(const std::string& text) {
    WriteBytes(directory_ / "model.safetensors.index.json", text);
  }
  // A file of torch.save with one tensor, [2, 2], whose columns come first.
  void WriteTorchFile(const std::string& file, const std::string& name,
                      const std::vector<float>& numbers) {
    const std::string tensor = Pickle::Tensor(
        Pickle::Storage("FloatStorage", "0", 4), 0, {2, 2}, {1, 2});
    std::string bytes;
    for (const float number : numbers) bytes += RawBytes(number);
    WriteBytes(directory_ / file,
               TorchFileBytes(Pickle::Program(Pickle::Dict({{name, tensor}})),
                              {{"0", bytes}}));
  }

  TempDirectory directory_;
};

TEST_F(CheckpointTest, GivesTensorsOfASingleFile) {
  Write("model.safetensors", {{"a", at::ones({2})}});

  auto checkpoint = Checkpoint::Open(directory_.path());

  ASSERT_OK(checkpoint);
  EXPECT_EQ(checkpoint->Take("a", {2}).sum().item<float>(), 2.0f);
  EXPECT_OK(checkpoint->Finish());
}

TEST_F(CheckpointTest, GivesTensorsOfAllShards) {
  TinyLlamaOptions options;
  options.num_shards = 3;
  ASSERT_OK(WriteTinyLlama(directory_.path(), options));

  auto checkpoint = Checkpoint::Open(directory_.path());

  ASSERT_OK(checkpoint);
  EXPECT_EQ(Checkpoint::Files(directory_.path())->size(), 3u);
  EXPECT_TRUE(
      checkpoint->Take("model.embed_tokens.weight", {300, 32}).defined());
  EXPECT_TRUE(checkpoint->Take("model.norm.weight", {32}).defined());
}

TEST_F(CheckpointTest, NamesMissingMisshapenAndSurplusTensors) {
  Write("model.safetensors", {{"wide", at::ones({2, 3})},
                              {"extra", at::ones({1})},
                              {"counts", at::ones({1}, at::kLong)}});
  auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_OK(checkpoint);

  EXPECT_FALSE(checkpoint->Take("gone", {1}).defined());
  EXPECT_FALSE(checkpoint->Take("wide", {3, 2}).defined());
  EXPECT_FALSE(checkpoint->Take("counts", {1}).defined());

  EXPECT_THAT(checkpoint->Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("missing: gone"),
                             HasSubstr("wide [2, 3] instead of [3, 2]"),
                             HasSubstr("of integers: counts Long"),
                             HasSubstr("surplus: extra"),
                             Not(HasSubstr("quantised")))));
}

TEST_F(CheckpointTest, SaysWhenWeightsAreQuantised) {
  const std::vector<TensorMap> checkpoints = {
      // LLM.int8 and 4-bit as bitsandbytes stores them, then GPTQ.
      {{"a.weight", at::ones({2, 2}, at::kChar)}, {"a.SCB", at::ones({2})}},
      {{"a.weight", at::ones({2, 1}, at::kByte)}},
      {{"a.qweight", at::ones({1, 2}, at::kInt)}},
  };
  for (const TensorMap& tensors : checkpoints) {
    Write("model.safetensors", tensors);
    auto checkpoint = Checkpoint::Open(directory_.path());
    ASSERT_OK(checkpoint);

    EXPECT_FALSE(checkpoint->Take("a.weight", {2, 2}).defined());

    EXPECT_THAT(checkpoint->Finish(),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("a.weight"),
                               HasSubstr("weights are quantised"))));
  }
}

TEST_F(CheckpointTest, TellsWhatIsThereWithoutKnowingIt) {
  Write("model.safetensors", {{"a", at::ones({1})}});
  auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_OK(checkpoint);

  EXPECT_TRUE(checkpoint->Has("a"));
  EXPECT_FALSE(checkpoint->Has("b"));

  EXPECT_THAT(
      checkpoint->Finish(),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("surplus: a"), Not(HasSubstr("missing")))));
}

TEST_F(CheckpointTest, ReadsWhatTorchSaved) {
  WriteTorchFile("pytorch_model.bin", "a", {1, 2, 3, 4});
  auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_OK(checkpoint);

  const at::Tensor a = checkpoint->Take("a", {2, 2});

  EXPECT_TRUE(a.is_contiguous());
  EXPECT_EQ(a[0][1].item<float>(), 3.0f);
  EXPECT_OK(checkpoint->Finish());
}

TEST_F(CheckpointTest, ReadsTheShardsOfTorchFiles) {
  WriteTorchFile("pytorch_model-1.bin", "a", {1, 2, 3, 4});
  WriteTorchFile("pytorch_model-2.bin", "b", {5, 6, 7, 8});
  WriteBytes(directory_ / "pytorch_model.bin.index.json",
             R"({"weight_map": {"a": "pytorch_model-1.bin",
                                "b": "pytorch_model-2.bin"}})");

  auto checkpoint = Checkpoint::Open(directory_.path());

  ASSERT_OK(checkpoint);
  EXPECT_THAT(*Checkpoint::Files(directory_.path()),
              ElementsAre(directory_ / "pytorch_model-1.bin",
                          directory_ / "pytorch_model-2.bin"));
  EXPECT_EQ(checkpoint->Take("b", {2, 2})[0][0].item<float>(), 5.0f);
}

TEST_F(CheckpointTest, PrefersSafetensorsAndSingleFiles) {
  const std::vector<std::string> preference = {
      "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
      "pytorch_model.bin.index.json"};
  const std::map<std::string, std::string> shards = {
      {"model.safetensors.index.json", "shard.safetensors"},
      {"pytorch_model.bin.index.json", "shard.bin"}};
  for (auto file = preference.rbegin(); file != preference.rend(); ++file) {
    const auto shard = shards.find(*file);
    const std::string weights = shard == shards.end() ? *file : shard->second;
    WriteBytes(directory_ / *file,
               R"({"weight_map": {"a": ")" + weights + "\"}}");

    EXPECT_THAT(*Checkpoint::Files(directory_.path()),
                ElementsAre(directory_ / weights));
  }
}

TEST_F(CheckpointTest, AnIndexNamesFilesOfItsOwnKindOnly) {
  WriteBytes(directory_ / "pytorch_model.bin.index.json",
             R"({"weight_map": {"a": "model.safetensors"}})");

  EXPECT_THAT(Checkpoint::Open(directory_.path()),
              ReasonIs(Reason::kCorruptModel, HasSubstr("no *.bin file")));
}

TEST_F(CheckpointTest, NamesTheTorchFileThatIsCorrupt) {
  WriteBytes(directory_ / "pytorch_model.bin", "not an archive");

  EXPECT_THAT(Checkpoint::Open(directory_.path()),
              ReasonIs(Reason::kCorruptModel, HasSubstr("pytorch_model.bin")));
}

TEST_F(CheckpointTest, IgnoredTensorsMayBeThere) {
  Write("model.safetensors", {{"a", at::ones({1})}});
  auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_OK(checkpoint);

  checkpoint->Ignore("a");
  checkpoint->Ignore("b");

  EXPECT_OK(checkpoint->Finish());
}

TEST_F(CheckpointTest, SaysWhenThereAreNoWeights) {
  EXPECT_THAT(Checkpoint::Open(directory_.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("none of model.safetensors, "
                                 "model.safetensors.index.json, "
                                 "pytorch_model.bin, "
                                 "pytorch_model.bin.index.json")));
}

TEST_F(CheckpointTest, RefusesIndexesThatLeaveTheDirectory) {
  for (const char* file :
       {"\"../secret.safetensors\"", "\"/etc/passwd\"", "3", "\"notes.txt\""}) {
    WriteIndex(std::string(R"({"weight_map": {"a": )") + file + "}}");
    EXPECT_THAT(Checkpoint::Open(directory_.path()),
                ReasonIs(Reason::kCorruptModel, HasSubstr("tensor 'a'")))
        << file;
  }
}

TEST_F(CheckpointTest, RefusesIndexesWithoutAMap) {
  WriteIndex(R"({"metadata": {}})");

  EXPECT_THAT(Checkpoint::Open(directory_.path()),
              ReasonIs(Reason::kCorruptModel, HasSubstr("no weight_map")));
}

TEST_F(CheckpointTest, RefusesATensorInTwoShards) {
  Write("model-1.safetensors", {{"a", at::ones({1})}});
  Write("model-2.safetensors", {{"a", at::ones({1})}, {"b", at::ones({1})}});
  WriteIndex(R"({"weight_map": {"a": "model-1.safetensors",
                                "b": "model-2.safetensors"}})");

  EXPECT_THAT(Checkpoint::Open(directory_.path()),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'a' is in two")));
}

TEST_F(CheckpointTest, SaysWhenAShardIsMissing) {
  WriteIndex(R"({"weight_map": {"a": "model-1.safetensors"}})");

  EXPECT_THAT(
      Checkpoint::Open(directory_.path()),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("model-1.safetensors")));
}

}  // namespace
}  // namespace attune::worker
