#include "worker/prompts/adaptation_codec.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/peft_names.h"
#include "worker/prompts/prompt_codec.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

constexpr char kQuery[] = "bert.encoder.layer.0.attention.self.query";

attune::v1::Lora SampleLora() {
  attune::v1::Lora lora;
  lora.set_rank(2);
  lora.set_alpha(6);
  return lora;
}

ModelConfig ConfigOf(ModelKind kind) {
  ModelConfig config;
  config.kind = kind;
  config.family = kind == ModelKind::kEncoder ? "bert" : "llama";
  return config;
}

LowRankPair SamplePair(float first) {
  return {.down = at::arange(8, at::kFloat).view({2, 4}) + first,
          .up = at::arange(10, at::kFloat).view({5, 2}) - first};
}

Artifact SampleFiles() {
  Adaptation adaptation;
  adaptation.low_rank[kQuery] = SamplePair(1);
  adaptation.low_rank["bert.encoder.layer.1.attention.self.query"] =
      SamplePair(2);
  Artifact artifact;
  EXPECT_OK(EncodeLora(adaptation, SampleLora(), ConfigOf(ModelKind::kEncoder),
                       "tiny", artifact));
  return artifact;
}

std::string LoraCorruption(const Artifact& artifact) {
  const absl::Status status = DecodeLora(artifact).status();
  EXPECT_EQ(ReasonOf(status), Reason::kCorruptArtifact) << status;
  return std::string(status.message());
}

// The sample with other tensors.
Artifact LoraOf(const TensorMap& tensors) {
  Artifact artifact = SampleFiles();
  artifact.files[std::string(kAdapterModelFile)] = *WriteSafetensors(tensors);
  return artifact;
}

TEST(AdaptationCodec, WritesAdditionsAsPeftNamesThem) {
  const Artifact artifact = SampleFiles();

  const std::string& config =
      artifact.files.at(std::string(kAdapterConfigFile));
  EXPECT_THAT(config, HasSubstr(R"("peft_type": "LORA")"));
  EXPECT_THAT(config, HasSubstr(R"("r": 2)"));
  EXPECT_THAT(config, HasSubstr(R"("lora_alpha": 6.0)"));
  EXPECT_THAT(config, HasSubstr(R"("attention.self.query")"));
  EXPECT_THAT(config, HasSubstr("FEATURE_EXTRACTION"));
  const auto tensors = *Safetensors::FromBytes(
      artifact.files.at(std::string(kAdapterModelFile)), "x");
  // PEFT wraps the bare body of an encoder.
  EXPECT_TRUE(tensors.Contains(
      "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight"));
  EXPECT_TRUE(tensors.Contains(
      "base_model.model.encoder.layer.1.attention.self.query.lora_B.weight"));
  EXPECT_EQ(tensors.entries().size(), 4u);
}

TEST(AdaptationCodec, CausalModulesKeepTheirWholeNames) {
  Adaptation adaptation;
  adaptation.low_rank["model.layers.3.self_attn.q_proj"] = SamplePair(1);
  Artifact artifact;
  ASSERT_OK(EncodeLora(adaptation, SampleLora(), ConfigOf(ModelKind::kCausal),
                       "tiny", artifact));

  const auto tensors = *Safetensors::FromBytes(
      artifact.files.at(std::string(kAdapterModelFile)), "x");
  EXPECT_TRUE(tensors.Contains(
      "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"));
  EXPECT_THAT(artifact.files.at(std::string(kAdapterConfigFile)),
              HasSubstr(R"("self_attn.q_proj")"));
}

TEST(AdaptationCodec, ReadsAdditionsBack) {
  const auto adaptation = DecodeLora(SampleFiles());
  ASSERT_OK(adaptation);

  ASSERT_EQ(adaptation->low_rank.size(), 2u);
  const LowRankPair& pair =
      adaptation->low_rank.at("encoder.layer.0.attention.self.query");
  EXPECT_TRUE(pair.down.equal(SamplePair(1).down));
  EXPECT_TRUE(pair.up.equal(SamplePair(1).up));
  EXPECT_DOUBLE_EQ(adaptation->low_rank_scale, 3);
}

TEST(AdaptationCodec, NamesWhatIsWrongWithAdditions) {
  const std::string module = "base_model.model.a";
  const at::Tensor down = at::zeros({2, 4});
  const at::Tensor up = at::zeros({5, 2});

  Artifact missing = SampleFiles();
  missing.files.erase(std::string(kAdapterModelFile));
  EXPECT_THAT(LoraCorruption(missing), HasSubstr("it is missing"));
  Artifact other = SampleFiles();
  other.files[std::string(kAdapterConfigFile)] = R"({"peft_type": "IA3"})";
  EXPECT_THAT(LoraCorruption(other), HasSubstr("does not describe a LORA"));
  Artifact no_rank = SampleFiles();
  no_rank.files[std::string(kAdapterConfigFile)] =
      R"({"peft_type": "LORA", "r": 0, "lora_alpha": 1})";
  EXPECT_THAT(LoraCorruption(no_rank), HasSubstr("positive integer"));
  EXPECT_THAT(LoraCorruption(LoraOf({{"stray", down}})),
              HasSubstr("'stray' is none of a LORA"));
  EXPECT_THAT(LoraCorruption(LoraOf({})), HasSubstr("no tensor"));
  EXPECT_THAT(LoraCorruption(LoraOf({{module + ".lora_A.weight", down}})),
              HasSubstr("module 'a' must have"));
  EXPECT_THAT(LoraCorruption(LoraOf({{module + ".lora_A.weight", down},
                                     {module + ".lora_B.weight", down}})),
              HasSubstr("lora_B [out, 2]"));
  EXPECT_THAT(
      LoraCorruption(
          LoraOf({{module + ".lora_A.weight", down},
                  {module + ".lora_B.weight",
                   at::full({5, 2}, std::numeric_limits<float>::infinity())}})),
      HasSubstr("must be finite"));
}

TEST(AdaptationCodec, ReadsWeightsBack) {
  Adaptation adaptation;
  adaptation.weights["model.norm.weight"] = at::arange(4, at::kFloat);
  Artifact artifact;
  ASSERT_OK(EncodeWeights(adaptation, artifact));

  const auto read = DecodeWeights(artifact);
  ASSERT_OK(read);

  EXPECT_TRUE(
      read->weights.at("model.norm.weight").equal(at::arange(4, at::kFloat)));
  EXPECT_THAT(DecodeWeights(Artifact()),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr(kWeightsFile)));
}

TEST(AdaptationCodec, AVersionSaysByItsMethodWhatItHolds) {
  StoredPrompt stored;
  stored.manifest.set_base_model("models/tiny");
  stored.manifest.mutable_method()->mutable_bias_only();
  stored.adaptation.weights["x.bias"] = at::zeros({3});
  const auto artifact = EncodePrompt(stored, ConfigOf(ModelKind::kEncoder));
  ASSERT_OK(artifact);

  const auto read = DecodePrompt(*artifact);

  ASSERT_OK(read);
  EXPECT_EQ(read->length(), 0);
  EXPECT_TRUE(read->adaptation.weights.contains("x.bias"));
  EXPECT_EQ(read->num_bytes(), 12u);
}

TEST(AdaptationCodec, FindsTheModulesOfAnEncoder) {
  const std::string directory = "tests/golden/architectures/bert";
  auto checkpoint = Checkpoint::Open(directory);
  ASSERT_OK(checkpoint);
  const auto model = LoadBaseModel(*ReadModelConfig(directory), *checkpoint,
                                   at::Device(at::kCPU), at::kFloat);
  ASSERT_OK(model);

  const auto resolved = ResolveModules(*DecodeLora(SampleFiles()), **model);
  ASSERT_OK(resolved);

  EXPECT_TRUE(resolved->low_rank.contains(kQuery));
  Adaptation unknown;
  unknown.low_rank["encoder.nothing"] = SamplePair(1);
  EXPECT_THAT(ResolveModules(unknown, **model).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'encoder.nothing'")));
}

}  // namespace
}  // namespace attune::worker
