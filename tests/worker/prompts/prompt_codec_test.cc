#include "worker/prompts/prompt_codec.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

constexpr char kConfig[] = "adapter_config.json";
constexpr char kModel[] = "adapter_model.safetensors";
constexpr char kManifest[] = "attune_manifest.json";

SoftPrompt SamplePrompt() {
  return *SoftPrompt::Create(at::arange(20, at::kFloat).view({5, 4}) * 0.5);
}

ModelConfig SampleConfig() {
  ModelConfig config;
  config.embedding_dim = 4;
  config.dim = 4;
  config.num_layers = 2;
  config.num_heads = 3;
  return config;
}

v1::PromptManifest SampleManifest() {
  v1::PromptManifest manifest;
  manifest.set_base_model("models/tiny");
  manifest.set_model_fingerprint("abc");
  manifest.mutable_task()->set_template_("{{ text }}");
  (*manifest.mutable_report()->mutable_after()->mutable_metrics())["accuracy"] =
      0.75;
  manifest.set_tuning_job("tuningJobs/j1");
  return manifest;
}

Artifact SampleArtifact() {
  return *EncodePrompt({SamplePrompt(), {}, {}, {}, SampleManifest()},
                       SampleConfig());
}

// The error of reading `artifact`, which must be corrupt.
std::string CorruptionOf(const Artifact& artifact) {
  const absl::Status status = DecodePrompt(artifact).status();
  EXPECT_EQ(ReasonOf(status), Reason::kCorruptArtifact) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  return status.ToString();
}

// The sample with another tensor file.
Artifact WithTensors(const TensorMap& tensors) {
  Artifact artifact = SampleArtifact();
  artifact.files[kModel] = *WriteSafetensors(tensors, {{"format", "pt"}});
  return artifact;
}

// The sample with one piece of a file replaced.
Artifact WithEdit(const std::string& file, const std::string& from,
                  const std::string& to) {
  Artifact artifact = SampleArtifact();
  std::string& text = artifact.files.at(file);
  const size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  text.replace(place, from.size(), to);
  return artifact;
}

TEST(PromptCodec, WritesTheConfigAsPeftDoes) {
  EXPECT_EQ(SampleArtifact().files.at(kConfig), R"({
  "auto_mapping": null,
  "base_model_name_or_path": "tiny",
  "inference_mode": true,
  "modules_to_save": null,
  "num_attention_heads": 3,
  "num_layers": 2,
  "num_transformer_submodules": 1,
  "num_virtual_tokens": 5,
  "peft_type": "PROMPT_TUNING",
  "peft_version": "0.21.2",
  "prompt_tuning_init": "RANDOM",
  "prompt_tuning_init_text": null,
  "revision": null,
  "task_type": "CAUSAL_LM",
  "token_dim": 4,
  "tokenizer_kwargs": null,
  "tokenizer_name_or_path": null
})");
}

TEST(PromptCodec, WritesTheTensorsAsPeftDoes) {
  const std::string bytes = SampleArtifact().files.at(kModel);

  EXPECT_EQ(bytes.substr(8, 104),
            R"({"__metadata__":{"format":"pt"},"prompt_embeddings":)"
            R"({"dtype":"F32","shape":[5,4],"data_offsets":[0,80]}})");
  EXPECT_EQ(bytes.size() % 8, 0u);
}

TEST(PromptCodec, ReadsBackWhatItWrote) {
  const StoredPrompt stored = *DecodePrompt(SampleArtifact());

  v1::PromptManifest expected = SampleManifest();
  expected.set_format_version(1);
  EXPECT_TRUE(stored.rows->rows().equal(SamplePrompt().rows()));
  EXPECT_TRUE(MessageDifferencer::Equals(stored.manifest, expected));
}

// The sample for an encoder, with a head over two labels.
Artifact SampleWithHead() {
  ModelConfig config = SampleConfig();
  config.kind = ModelKind::kEncoder;
  v1::PromptManifest manifest = SampleManifest();
  manifest.mutable_task()->set_label_scoring(attune::v1::LABEL_SCORING_HEAD);
  manifest.mutable_task()->add_labels()->set_label("a");
  manifest.mutable_task()->add_labels()->set_label("b");
  return *EncodePrompt(
      {SamplePrompt(),
       {},
       {},
       {at::arange(8, at::kFloat).view({2, 4}), at::arange(2, at::kFloat)},
       manifest},
      config);
}

// Two layers, three heads, five positions, four elements.
StoredPrefix SamplePrefix() {
  const at::Tensor keys = at::arange(120, at::kFloat).view({2, 3, 5, 4});
  return {keys, -keys};
}

Artifact SampleWithPrefix() {
  return *EncodePrompt({std::nullopt, SamplePrefix(), {}, {}, SampleManifest()},
                       SampleConfig());
}

TEST(PromptCodec, ReadsBackAPrefix) {
  const StoredPrompt stored = *DecodePrompt(SampleWithPrefix());

  EXPECT_FALSE(stored.rows.has_value());
  EXPECT_EQ(stored.length(), 5);
  EXPECT_TRUE(stored.prefix.keys.equal(SamplePrefix().keys));
  EXPECT_TRUE(stored.prefix.values.equal(SamplePrefix().values));
}

TEST(PromptCodec, LaysAPrefixOutAsPeftDoes) {
  const auto tensors = *Safetensors::FromBytes(
      SampleWithPrefix().files.at(kModel), "adapter_model.safetensors");

  const at::Tensor flat = *tensors.Get("prompt_embeddings");

  // index = ((2 * layer + kv) * heads + head) * head_dim + element
  ASSERT_EQ(flat.sizes(), (at::IntArrayRef{5, 2 * 2 * 3 * 4}));
  const StoredPrefix prefix = SamplePrefix();
  EXPECT_EQ(flat[3][((2 * 1 + 0) * 3 + 2) * 4 + 1].item<float>(),
            prefix.keys[1][2][3][1].item<float>());
  EXPECT_EQ(flat[4][((2 * 0 + 1) * 3 + 1) * 4 + 3].item<float>(),
            prefix.values[0][1][4][3].item<float>());
  const std::string& config = SampleWithPrefix().files.at(kConfig);
  EXPECT_THAT(config, HasSubstr(R"("peft_type": "PREFIX_TUNING")"));
  EXPECT_THAT(config, HasSubstr(R"("token_dim": 12)"));
  EXPECT_THAT(config, HasSubstr(R"("num_attention_heads": 3)"));
}

TEST(PromptCodec, APrefixMustBeOfTheShapeThatItSays) {
  Artifact heads = SampleWithPrefix();
  std::string& text = heads.files.at(kConfig);
  const std::string from = R"("num_attention_heads": 3)";
  text.replace(text.find(from), from.size(), R"("num_attention_heads": 5)");
  Artifact layers = SampleWithPrefix();
  std::string& other = layers.files.at(kConfig);
  const std::string two = R"("num_layers": 2)";
  other.replace(other.find(two), two.size(), R"("num_layers": 3)");

  EXPECT_THAT(CorruptionOf(heads), HasSubstr("does not divide"));
  EXPECT_THAT(CorruptionOf(layers), HasSubstr("5 x 72"));
}

TEST(PromptCodec, ReadsBackAHead) {
  const Artifact artifact = SampleWithHead();

  const StoredPrompt stored = *DecodePrompt(artifact);

  EXPECT_TRUE(stored.head.weight.equal(at::arange(8, at::kFloat).view({2, 4})));
  EXPECT_TRUE(stored.head.bias.equal(at::arange(2, at::kFloat)));
  EXPECT_THAT(artifact.files.at(kConfig), HasSubstr("FEATURE_EXTRACTION"));
  EXPECT_FALSE(DecodePrompt(SampleArtifact())->head.defined());
}

TEST(PromptCodec, AHeadMustBeThatOfTheTask) {
  const Artifact whole = SampleWithHead();
  Artifact missing = whole;
  missing.files.erase("attune_head.safetensors");
  Artifact surplus = SampleArtifact();
  surplus.files["attune_head.safetensors"] =
      whole.files.at("attune_head.safetensors");
  const auto with = [&](const at::Tensor& weight, const at::Tensor& bias) {
    Artifact artifact = whole;
    artifact.files["attune_head.safetensors"] =
        *WriteSafetensors({{"weight", weight}, {"bias", bias}});
    return artifact;
  };

  EXPECT_THAT(CorruptionOf(missing), HasSubstr("missing"));
  EXPECT_THAT(CorruptionOf(surplus), HasSubstr("the task has no head"));
  EXPECT_THAT(CorruptionOf(with(at::zeros({3, 4}), at::zeros({3}))),
              HasSubstr("3 outputs; the task has 2"));
  EXPECT_THAT(CorruptionOf(with(at::zeros({2, 4}), at::zeros({3}))),
              HasSubstr("[labels"));
  EXPECT_THAT(CorruptionOf(
                  with(at::full({2, 4}, std::numeric_limits<float>::infinity()),
                       at::zeros({2}))),
              HasSubstr("not finite"));
}

TEST(PromptCodec, EqualPromptsGiveEqualBytes) {
  EXPECT_EQ(SampleArtifact().files, SampleArtifact().files);
}

TEST(PromptCodec, ReadsBfloat16AndHalf) {
  for (at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const Artifact artifact =
        WithTensors({{"prompt_embeddings", SamplePrompt().rows().to(type)}});

    EXPECT_TRUE(
        DecodePrompt(artifact)->rows->rows().equal(SamplePrompt().rows()));
  }
}

TEST(PromptCodec, ReadsAConfigWithoutOptionalKeys) {
  Artifact artifact = SampleArtifact();
  artifact.files[kConfig] =
      R"({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 5,
          "token_dim": 4, "task_type": null})";

  EXPECT_TRUE(DecodePrompt(artifact).ok());
}

TEST(PromptCodec, RefusesAMissingFile) {
  for (const char* name : {kConfig, kModel, kManifest}) {
    Artifact artifact = SampleArtifact();
    artifact.files.erase(name);

    EXPECT_THAT(CorruptionOf(artifact), HasSubstr(name));
  }
}

TEST(PromptCodec, RefusesEveryTruncation) {
  for (const char* name : {kConfig, kModel, kManifest}) {
    const std::string whole = SampleArtifact().files.at(name);
    for (size_t size = 0; size + 1 < whole.size(); size += 3) {
      Artifact artifact = SampleArtifact();
      artifact.files[name] = whole.substr(0, size);

      EXPECT_THAT(CorruptionOf(artifact), HasSubstr(name));
    }
  }
}

TEST(PromptCodec, NoFlippedBitOfTheHeaderGetsThroughUnnoticed) {
  const Artifact whole = SampleArtifact();
  const size_t header = 8 + 104;
  for (size_t bit = 0; bit < header * 8; ++bit) {
    Artifact artifact = whole;
    artifact.files[kModel][bit / 8] ^= static_cast<char>(1 << (bit % 8));

    const auto stored = DecodePrompt(artifact);
    // A flip may hit what means nothing; rows of another size never pass.
    if (stored.ok()) {
      EXPECT_EQ(stored->rows->length(), 5);
      EXPECT_EQ(stored->rows->dim(), 4);
    } else {
      EXPECT_EQ(ReasonOf(stored.status()), Reason::kCorruptArtifact);
    }
  }
}

TEST(PromptCodec, RefusesAnotherShapeThanTheConfigSays) {
  EXPECT_THAT(CorruptionOf(WithEdit(kConfig, "\"num_virtual_tokens\": 5",
                                    "\"num_virtual_tokens\": 6")),
              HasSubstr("5 x 4, but adapter_config.json says 6 x 4"));
  EXPECT_THAT(
      CorruptionOf(WithTensors({{"prompt_embeddings", at::zeros({20})}})),
      HasSubstr("shape [20]"));
}

TEST(PromptCodec, RefusesOtherTypesAndNumbersThatAreNotFinite) {
  EXPECT_THAT(CorruptionOf(WithTensors(
                  {{"prompt_embeddings", at::zeros({5, 4}, at::kLong)}})),
              HasSubstr("F32, F16 or BF16"));
  EXPECT_THAT(
      CorruptionOf(WithTensors(
          {{"prompt_embeddings",
            at::full({5, 4}, std::numeric_limits<float>::infinity())}})),
      HasSubstr("not finite"));
}

TEST(PromptCodec, RefusesOtherAndAdditionalTensors) {
  EXPECT_THAT(CorruptionOf(WithTensors({{"weights", at::zeros({5, 4})}})),
              HasSubstr("prompt_embeddings"));
  EXPECT_THAT(
      CorruptionOf(WithTensors({{"prompt_embeddings", at::zeros({5, 4})},
                                {"score.weight", at::zeros({2, 4})}})),
      HasSubstr("no other"));
}

TEST(PromptCodec, RefusesOtherMethodsAndTasks) {
  EXPECT_THAT(CorruptionOf(WithEdit(kConfig, "PROMPT_TUNING", "P_TUNING")),
              HasSubstr("'P_TUNING'"));
  EXPECT_THAT(CorruptionOf(WithEdit(kConfig, "CAUSAL_LM", "SEQ_CLS")),
              HasSubstr("SEQ_CLS"));
  EXPECT_THAT(
      CorruptionOf(WithEdit(kConfig, "submodules\": 1", "submodules\": 2")),
      HasSubstr("num_transformer_submodules"));
}

TEST(PromptCodec, RefusesAManifestOfAnotherFormat) {
  EXPECT_THAT(CorruptionOf(WithEdit(kManifest, "\"formatVersion\": 1",
                                    "\"formatVersion\": 2")),
              HasSubstr("format_version is 2"));
  EXPECT_THAT(CorruptionOf(WithEdit(kManifest, "\"baseModel\"", "\"base\"")),
              HasSubstr("attune_manifest.json"));
}

TEST(PromptCodec, NamesBothModelsThatDoNotMatch) {
  ModelInfo model;
  model.id = "tiny";
  model.config = SampleConfig();
  model.fingerprint = "xyz";

  const absl::Status status =
      CheckPromptFits(*DecodePrompt(SampleArtifact()), model);

  EXPECT_EQ(ReasonOf(status), Reason::kModelMismatch);
  EXPECT_THAT(status.ToString(), HasSubstr("fingerprint abc"));
  EXPECT_THAT(status.ToString(), HasSubstr("fingerprint xyz"));
}

TEST(PromptCodec, RefusesAnotherWidth) {
  ModelInfo model;
  model.id = "tiny";
  model.fingerprint = "abc";
  model.config = SampleConfig();
  ASSERT_TRUE(CheckPromptFits(*DecodePrompt(SampleArtifact()), model).ok());
  model.config.embedding_dim = 8;

  const absl::Status status =
      CheckPromptFits(*DecodePrompt(SampleArtifact()), model);

  EXPECT_EQ(ReasonOf(status), Reason::kModelMismatch);
  EXPECT_THAT(status.ToString(), HasSubstr("4 wide"));
}

// Two of three layers, from the second on.
Artifact SampleWithLayers() {
  ModelConfig config = SampleConfig();
  config.num_layers = 3;
  v1::PromptManifest manifest = SampleManifest();
  auto& method = *manifest.mutable_method()->mutable_prefix_tuning();
  method.set_first_layer(1);
  method.set_num_layers(2);
  method.set_num_virtual_tokens(5);
  StoredPrefix prefix = SamplePrefix();
  prefix.first_layer = 1;
  return *EncodePrompt({std::nullopt, prefix, {}, {}, manifest}, config);
}

StoredPrompt SampleMarkedPrompt() {
  v1::PromptManifest manifest = SampleManifest();
  manifest.mutable_task()->set_prompt_placement(
      attune::v1::PROMPT_PLACEMENT_MARKERS);
  return {SamplePrompt(), {}, {}, {}, manifest};
}

TEST(PromptCodec, RowsAtMarkersAreNoAdapterOfPeft) {
  const Artifact artifact = *EncodePrompt(SampleMarkedPrompt(), SampleConfig());

  EXPECT_FALSE(artifact.files.contains(kConfig));
  EXPECT_FALSE(artifact.files.contains(kModel));
  const auto stored = DecodePrompt(artifact);
  ASSERT_OK(stored);
  ASSERT_TRUE(stored->rows.has_value());
  EXPECT_TRUE(stored->rows->rows().equal(SamplePrompt().rows()));
  EXPECT_EQ(stored->length(), 5);
}

TEST(PromptCodec, RowsAtMarkersMustBeInTheirFile) {
  Artifact artifact = *EncodePrompt(SampleMarkedPrompt(), SampleConfig());
  std::string& file = artifact.files.at(std::string(kMarkedRowsFile));

  file = *WriteSafetensors({{"others", at::zeros({5, 4})}});
  EXPECT_THAT(CorruptionOf(artifact), HasSubstr("'rows'"));
  file = *WriteSafetensors({{"rows", at::zeros({5})}});
  EXPECT_THAT(CorruptionOf(artifact), HasSubstr(std::string(kMarkedRowsFile)));
  artifact.files.erase(std::string(kMarkedRowsFile));
  EXPECT_THAT(CorruptionOf(artifact), HasSubstr(std::string(kMarkedRowsFile)));
}

TEST(PromptCodec, APrefixOfSomeLayersIsNoAdapterOfPeft) {
  const Artifact artifact = SampleWithLayers();

  const StoredPrompt stored = *DecodePrompt(artifact);

  EXPECT_FALSE(artifact.files.contains(kConfig));
  EXPECT_FALSE(artifact.files.contains(kModel));
  EXPECT_EQ(stored.prefix.first_layer, 1);
  EXPECT_EQ(stored.length(), 5);
  EXPECT_TRUE(stored.prefix.keys.equal(SamplePrefix().keys));
  EXPECT_TRUE(stored.prefix.values.equal(SamplePrefix().values));
}

TEST(PromptCodec, APrefixOfSomeLayersFitsAModelThatHasThem) {
  const StoredPrompt stored = *DecodePrompt(SampleWithLayers());
  ModelInfo model;
  model.id = "tiny";
  model.fingerprint = "abc";
  model.config = SampleConfig();
  model.config.num_kv_heads = 3;
  model.config.head_dim = 4;
  model.config.num_layers = 3;

  EXPECT_OK(CheckPromptFits(stored, model));

  model.config.num_layers = 2;

  EXPECT_THAT(CheckPromptFits(stored, model),
              ReasonIs(Reason::kModelMismatch, HasSubstr("layers")));
}

TEST(PromptCodec, LayersMustBeThoseOfTheMethod) {
  Artifact artifact = SampleWithLayers();
  std::string& manifest = artifact.files.at(kManifest);
  const std::string from = R"("numVirtualTokens": 5)";
  const size_t place = manifest.find(from);
  ASSERT_NE(place, std::string::npos) << manifest;
  manifest.replace(place, from.size(), R"("numVirtualTokens": 6)");

  EXPECT_THAT(CorruptionOf(artifact), HasSubstr("attune_prefix.safetensors"));
}

TEST(PromptCodec, LayersWithNumbersThatAreNotFiniteAreCorrupt) {
  Artifact artifact = SampleWithLayers();
  const at::Tensor keys =
      at::full({2, 3, 5, 4}, std::numeric_limits<float>::infinity());
  artifact.files["attune_prefix.safetensors"] =
      *WriteSafetensors({{"keys", keys}, {"values", SamplePrefix().values}});

  EXPECT_THAT(CorruptionOf(artifact), HasSubstr("finite"));
}

}  // namespace
}  // namespace attune::worker
