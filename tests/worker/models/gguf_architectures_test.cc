#include "worker/models/gguf_architectures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/golden_gguf.h"
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/gguf_import.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/packed_rows.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kNumGoldenRows = 5;
// As in decoders_golden_test.cc.
constexpr double kMaxGoldenDifference = 1e-4;

absl::StatusOr<std::string> ImportInto(const TempDirectory& directory,
                                       const GoldenGguf& gguf) {
  gguf.Write(directory / "m.gguf");
  const std::string made = directory / "made";
  const absl::Status status = ImportGguf(directory / "m.gguf", made);
  if (!status.ok()) return status;
  return made;
}

absl::StatusOr<std::unique_ptr<CausalModel>> LoadDirectory(
    const std::string& directory) {
  const auto config = ReadModelConfig(directory);
  if (!config.ok()) return config.status();
  auto checkpoint = Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  return LoadCausalModel(*config, *checkpoint, at::Device(at::kCPU),
                         at::kFloat);
}

// Every golden model, through a GGUF file by the converter's rules and back.
class GgufGolden : public testing::TestWithParam<const char*> {
 protected:
  bool IsGemma() const { return std::string(GetParam()) == "gemma3_text"; }

  TempDirectory directory_;
};

TEST_P(GgufGolden, LogitsAreThoseOfTransformers) {
  at::NoGradGuard no_grad;
  const auto made = ImportInto(directory_, GoldenGguf(GetParam()));
  ASSERT_OK(made);

  const auto model = LoadDirectory(*made);

  ASSERT_OK(model);
  const auto golden = Safetensors::Open(
      Concat("tests/golden/architectures/", GetParam(), ".safetensors"));
  ASSERT_OK(golden);
  PackedRows rows;
  std::vector<at::Tensor> texts;
  int64_t begin = 0;
  for (int row = 0; row < kNumGoldenRows; ++row) {
    texts.push_back((*model)->Embed(*golden->Get(Concat("input_ids.", row))));
    rows.segments.push_back({.begin = begin, .length = texts.back().size(0)});
    begin += texts.back().size(0);
  }
  rows.embeddings = at::cat(texts);
  const auto hidden = (*model)->Forward(rows);
  ASSERT_OK(hidden);
  const at::Tensor logits = (*model)->Logits(*hidden);
  for (int row = 0; row < kNumGoldenRows; ++row) {
    const Segment& segment = rows.segments[row];
    const at::Tensor expected = *golden->Get(Concat("logits.", row));
    ASSERT_EQ(expected.size(0), segment.length);
    const at::Tensor made_logits =
        logits.narrow(0, segment.begin, segment.length);
    EXPECT_LT((made_logits - expected).abs().max().item<double>(),
              kMaxGoldenDifference)
        << row;
  }
}

TEST_P(GgufGolden, WeightsComeBackUnderTheirNames) {
  const GoldenGguf gguf(GetParam());

  const auto made = ImportInto(directory_, gguf);

  ASSERT_OK(made);
  const auto weights = Safetensors::Open(*made + "/model.safetensors");
  ASSERT_OK(weights);
  EXPECT_EQ(weights->entries().size(), gguf.weights().entries().size());
  for (const auto& [name, entry] : gguf.weights().entries()) {
    // What GoldenGguf puts into Gemma's queries stays there.
    if (IsGemma() && name.ends_with("q_norm.weight")) continue;
    ASSERT_TRUE(weights->Contains(name)) << name;
    const at::Tensor expected = *gguf.weights().Get(name);
    const at::Tensor actual = *weights->Get(name);
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    // One more and one less costs half an ulp of a number below two.
    EXPECT_LE((actual - expected).abs().max().item<double>(),
              IsGemma() && expected.dim() == 1 ? 1.2e-7 : 0)
        << name;
  }
}

TEST_P(GgufGolden, QuantisedWeightsAreNear) {
  GoldenGguf gguf(GetParam(), {.quantise = true});

  const auto made = ImportInto(directory_, gguf);

  ASSERT_OK(made);
  EXPECT_OK(LoadDirectory(*made));
  const auto weights = Safetensors::Open(*made + "/model.safetensors");
  ASSERT_OK(weights);
  for (const auto& [name, entry] : gguf.weights().entries()) {
    if (entry.shape.size() < 2) continue;
    const at::Tensor expected = *gguf.weights().Get(name);
    // Half a step of 1/127 of the largest number of a block.
    EXPECT_LE((*weights->Get(name) - expected).abs().max().item<double>(),
              expected.abs().max().item<double>() / 250)
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GgufGolden,
                         testing::Values("gpt2", "llama", "llama3_rope",
                                         "llama_linear_rope", "qwen2", "qwen3",
                                         "gemma3_text"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

TEST(GgufArchitectures, NameMissingTensors) {
  const std::pair<const char*, const char*> kMissing[] = {
      {"gpt2", "position_embd.weight"},
      {"gpt2", "blk.1.ffn_up.bias"},
      {"qwen2", "blk.0.attn_k.bias"},
      {"qwen3", "blk.1.attn_q_norm.weight"},
      {"gemma3_text", "blk.2.post_ffw_norm.weight"},
      {"llama", "blk.0.ffn_gate.weight"}};
  for (const auto& [model, tensor] : kMissing) {
    TempDirectory directory;
    EXPECT_THAT(ImportInto(directory, GoldenGguf(model, {.without = {tensor}})),
                ReasonIs(Reason::kCorruptModel,
                         HasSubstr(Concat("no tensor '", tensor, "'"))));
  }
}

TEST(GgufArchitectures, NameSurplusTensors) {
  for (const char* model : {"gpt2", "qwen2", "qwen3", "gemma3_text"}) {
    TempDirectory directory;
    GoldenGguf gguf(model);
    gguf.builder.Tensor("blk.0.extra\n.weight", {1}, GgufBuilder::kF32, "1234");
    EXPECT_THAT(ImportInto(directory, gguf),
                StatusIs(absl::StatusCode::kUnimplemented,
                         HasSubstr(R"('blk.0.extra\n.weight')")));
  }
}

TEST(GgufArchitectures, AWrongHeadCountShowsInTheShapes) {
  for (const char* model : {"llama", "qwen2"}) {
    TempDirectory directory;
    EXPECT_THAT(
        ImportInto(directory,
                   GoldenGguf(model, {.sizes = {{"attention.head_count", 8}}})),
        ReasonIs(Reason::kCorruptModel,
                 HasSubstr("'blk.0.attn_k.weight' has the shape [16, 32], its "
                           "metadata mean [8, 32]")));
  }
  TempDirectory directory;
  EXPECT_THAT(
      ImportInto(directory,
                 GoldenGguf("gpt2", {.sizes = {{"attention.head_count", 5}}})),
      ReasonIs(Reason::kCorruptModel,
               AllOf(HasSubstr("m.gguf"), HasSubstr("num_attention_heads"))));
  TempDirectory other;
  EXPECT_THAT(
      ImportInto(other,
                 GoldenGguf("qwen3", {.sizes = {{"attention.head_count", 0}}})),
      ReasonIs(Reason::kCorruptModel,
               HasSubstr("'qwen3.attention.head_count' = 0")));
}

TEST(GgufArchitectures, RefuseArithmeticByKeyAndValue) {
  TempDirectory directory;
  GoldenGguf capped("gemma3_text");
  capped.builder.Set("gemma3.final_logit_softcapping", 30.0f);
  EXPECT_THAT(ImportInto(directory, capped),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'gemma3.final_logit_softcapping' = 30")));

  GoldenGguf experts("llama");
  experts.builder.Set("llama.expert_count", 8u);
  EXPECT_THAT(ImportInto(directory, experts),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.expert_count' = 8")));

  GoldenGguf window("qwen2");
  window.builder.Set("qwen2.attention.sliding_window", 4096u);
  EXPECT_THAT(ImportInto(directory, window),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'qwen2.attention.sliding_window' = 4096")));

  GoldenGguf wide("qwen3", {.sizes = {{"attention.value_length", 16}}});
  EXPECT_THAT(ImportInto(directory, wide),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'qwen3.attention.value_length' = 16")));
}

TEST(GgufArchitectures, ValuesThatMeanNothingAreAccepted) {
  TempDirectory directory;
  GoldenGguf gguf("llama");
  gguf.builder.Set("llama.expert_count", 0u);
  gguf.builder.Set("llama.vocab_size", 96u);
  gguf.builder.Set("llama.rope.dimension_count", 8u);
  gguf.builder.Entry("llama.attention.causal", GgufBuilder::kBool,
                     std::string(1, '\1'));
  EXPECT_OK(ImportInto(directory, gguf));
}

// The config.json of a Gemma 3 with `num_layers` layers and what `extra` adds.
absl::StatusOr<nlohmann::ordered_json> Gemma3Json(uint32_t num_layers,
                                                  GgufBuilder extra) {
  extra.Set("gemma3.embedding_length", 128u);
  extra.Set("gemma3.block_count", num_layers);
  extra.Set("gemma3.attention.head_count", 4u);
  extra.Set("gemma3.attention.key_length", 16u);
  extra.Set("gemma3.feed_forward_length", 64u);
  extra.Set("gemma3.context_length", 64u);
  extra.Set("gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
  extra.Tensor("token_embd.weight", {1, 2}, GgufBuilder::kF32, "12345678");
  const auto gguf = Gguf::FromBytes(extra.Build(), "m.gguf");
  if (!gguf.ok()) return gguf.status();
  return FindGgufArchitecture("gemma3")->write_config(
      GgufKeys(*gguf, "gemma3"));
}

TEST(GgufArchitectures, EverySixthLayerOfGemma3IsGlobal) {
  GgufBuilder builder;
  builder.Set("gemma3.attention.sliding_window", 512u);

  const auto config = Gemma3Json(7, builder);

  ASSERT_OK(config);
  const std::string window = "sliding_attention";
  EXPECT_THAT((*config)["layer_types"],
              ElementsAre(window, window, window, window, window,
                          "full_attention", window));
  EXPECT_EQ((*config)["sliding_window"], 512);
  EXPECT_EQ((*config)["rope_local_base_freq"], 10000.0);
}

TEST(GgufArchitectures, Gemma3MayMarkItsLayersOneByOne) {
  GgufBuilder builder;
  builder.Set("gemma3.attention.sliding_window", 512u);
  builder.Set("gemma3.attention.sliding_window_pattern",
              std::vector<int32_t>{0, 1});
  EXPECT_THAT((*Gemma3Json(2, builder))["layer_types"],
              ElementsAre("full_attention", "sliding_attention"));
  EXPECT_THAT(Gemma3Json(3, builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("has 2 values for 3")));
}

TEST(GgufArchitectures, Gemma3WithoutAWindowIsGlobal) {
  const auto config = Gemma3Json(2, GgufBuilder());
  ASSERT_OK(config);
  EXPECT_THAT((*config)["layer_types"],
              ElementsAre("full_attention", "full_attention"));
}

TEST(GgufArchitectures, Gemma3Of27BScalesItsScoresByAnotherWidth) {
  EXPECT_EQ((*Gemma3Json(61, GgufBuilder()))["query_pre_attn_scalar"], 16);
  EXPECT_EQ((*Gemma3Json(62, GgufBuilder()))["query_pre_attn_scalar"], 32);
}

TEST(GgufArchitectures, CountsBeyondReasonAreCorruption) {
  EXPECT_THAT(
      Gemma3Json(4'000'000'000u, GgufBuilder()),
      ReasonIs(Reason::kCorruptModel, HasSubstr("'gemma3.block_count'")));
}

TEST(GgufArchitectures, OthersAreUnknown) {
  for (const char* name : {"gemma", "gemma2", "gemma3n", "qwen2moe", ""}) {
    EXPECT_EQ(FindGgufArchitecture(name), nullptr) << name;
  }
  EXPECT_EQ(GgufArchitectureNames(), "gemma3, gpt2, llama, qwen2, qwen3");
}

}  // namespace
}  // namespace attune::worker
