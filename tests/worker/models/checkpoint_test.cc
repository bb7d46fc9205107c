#include "worker/models/checkpoint.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CheckpointTest : public testing::Test {
 protected:
  void Write(const std::string& file, const TensorMap& tensors) {
    ASSERT_OK(WriteSafetensorsFile(directory_ / file, tensors));
  }
  void WriteIndex(const std::string& text) {
    WriteBytes(directory_ / "model.safetensors.index.json", text);
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
                             HasSubstr("surplus: extra"))));
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
                       HasSubstr("neither model.safetensors")));
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
