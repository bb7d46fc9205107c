#include "worker/models/t5.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/model_config.h"
#include "worker/models/model_loader.h"
#include "worker/models/safetensors.h"

// What a model computes is held against transformers in
// encoder_decoders_golden_test.cc; here is what its config may say, how
// checkpoints may name things, and what is refused.
namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

nlohmann::json T5Json(const std::string& name = "t5_v11") {
  return nlohmann::json::parse(
      ReadBytes(Concat("tests/golden/architectures/", name, "/config.json")));
}

absl::StatusOr<ModelConfig> T5With(const char* key, nlohmann::json value,
                                   const std::string& name = "t5_v11") {
  nlohmann::json json = T5Json(name);
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

// As older files spell it.
absl::StatusOr<ModelConfig> T5Projecting(const std::string& projection) {
  nlohmann::json json = T5Json();
  json.erase("dense_act_fn");
  json.erase("is_gated_act");
  json["feed_forward_proj"] = projection;
  return ParseModelConfig(json.dump());
}

TEST(T5Config, ReadsItsSizes) {
  const auto config = ParseModelConfig(T5Json().dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->kind, ModelKind::kEncoderDecoder);
  EXPECT_EQ(config->num_layers, 1);
  EXPECT_EQ(config->num_decoder_layers, 2);
  EXPECT_EQ(config->NumCachedLayers(), 2);
  EXPECT_EQ(config->dim, 24);
  EXPECT_EQ(config->head_dim, 6);
  EXPECT_EQ(config->num_position_buckets, 8);
  EXPECT_EQ(config->max_position_distance, 20);
  EXPECT_EQ(config->context_length, 512);
  EXPECT_EQ(config->decoder_start_token_id, 0);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(1));
}

TEST(T5Config, WhatIsMissingHasItsDefault) {
  nlohmann::json json = T5Json();
  for (const char* key :
       {"num_decoder_layers", "decoder_start_token_id", "eos_token_id",
        "relative_attention_num_buckets", "relative_attention_max_distance",
        "layer_norm_epsilon"}) {
    json.erase(key);
  }
  json["pad_token_id"] = 3;

  const auto config = ParseModelConfig(json.dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->num_decoder_layers, 1);
  EXPECT_EQ(config->decoder_start_token_id, 3);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(1));
  EXPECT_EQ(config->num_position_buckets, 32);
  EXPECT_EQ(config->max_position_distance, 128);
  EXPECT_EQ(config->norm_epsilon, 1e-6);
}

TEST(T5Config, TheProjectionNamesGateAndActivation) {
  const auto plain = T5Projecting("relu");
  ASSERT_OK(plain);
  EXPECT_FALSE(plain->gated_mlp);
  EXPECT_EQ(plain->activation, Activation::kRelu);
  const auto gated = T5Projecting("gated-gelu");
  ASSERT_OK(gated);
  EXPECT_TRUE(gated->gated_mlp);
  EXPECT_EQ(gated->activation, Activation::kGeluTanh);
  EXPECT_EQ(T5Projecting("gated-silu")->activation, Activation::kSilu);
  EXPECT_EQ(T5Projecting("gelu")->activation, Activation::kGelu);
  EXPECT_THAT(T5Projecting("gated-mish"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("feed_forward_proj")));
}

TEST(T5Config, NewerKeysOfTheActivationCount) {
  nlohmann::json json = T5Json();
  json["feed_forward_proj"] = "relu";
  json["dense_act_fn"] = "silu";
  json["is_gated_act"] = true;

  const auto config = ParseModelConfig(json.dump());

  ASSERT_OK(config);
  EXPECT_TRUE(config->gated_mlp);
  EXPECT_EQ(config->activation, Activation::kSilu);
}

TEST(T5Config, OnlyVersionOneScalesWhatGoesIntoItsHead) {
  const double scale = 1.0 / std::sqrt(24.0);
  EXPECT_DOUBLE_EQ(T5With("use_cache", true, "t5")->head_scale, scale);
  EXPECT_EQ(T5With("use_cache", true)->head_scale, 1);
  EXPECT_EQ(T5With("scale_decoder_outputs", true, "mt5")->head_scale, 1);

  nlohmann::json old = T5Json();
  old.erase("scale_decoder_outputs");
  old["tie_word_embeddings"] = true;
  EXPECT_DOUBLE_EQ(ParseModelConfig(old.dump())->head_scale, scale);
  old["tie_word_embeddings"] = false;
  EXPECT_EQ(ParseModelConfig(old.dump())->head_scale, 1);
  old.erase("tie_word_embeddings");
  EXPECT_DOUBLE_EQ(ParseModelConfig(old.dump())->head_scale, scale);
}

TEST(T5Config, AnEncoderAloneIsRefused) {
  EXPECT_THAT(
      T5With("architectures", {"T5EncoderModel"}),
      StatusIs(absl::StatusCode::kUnimplemented,
               AllOf(HasSubstr("T5EncoderModel"), HasSubstr("decoder"))));
  EXPECT_THAT(T5With("is_encoder_decoder", false),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("is_encoder_decoder")));
}

TEST(T5Config, AnotherHeadIsRefused) {
  for (const char* name :
       {"T5Model", "T5ForSequenceClassification", "T5ForQuestionAnswering"}) {
    EXPECT_THAT(T5With("architectures", {name}),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(name)));
  }
  EXPECT_OK(T5With("architectures", {"T5WithLMHeadModel"}));
}

TEST(T5Config, RefusesBucketsThatCannotBe) {
  EXPECT_THAT(T5With("relative_attention_num_buckets", 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("relative_attention_num_buckets")));
  EXPECT_THAT(T5With("relative_attention_max_distance", 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("relative_attention_max_distance")));
  EXPECT_THAT(T5With("relative_attention_max_distance", 1 << 20),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("relative_attention_max_distance")));
}

TEST(T5Config, RefusesImpossibleSizes) {
  EXPECT_THAT(T5With("d_kv", 1 << 23),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("d_kv")));
  EXPECT_THAT(T5With("decoder_start_token_id", 96),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("decoder_start_token_id")));
  EXPECT_THAT(T5With("num_decoder_layers", 1 << 20),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("num_decoder_layers")));
}

// A golden model whose tensors a test renames before it is loaded.
class T5Test : public testing::Test {
 protected:
  using Model = std::unique_ptr<EncoderDecoderModel>;

  void Take(const std::string& name) {
    name_ = name;
    const auto file = *Safetensors::Open(
        Concat("tests/golden/architectures/", name, "/model.safetensors"));
    tensors_.clear();
    for (const auto& [key, entry] : file.entries()) {
      tensors_.emplace(key, file.Get(key)->clone());
    }
  }
  void Rename(const std::string& from, const std::string& to) {
    tensors_[to] = tensors_.at(from);
    tensors_.erase(from);
  }
  absl::StatusOr<Model> Load(const nlohmann::json& json,
                             at::ScalarType dtype = at::kFloat) {
    WriteBytes(directory_ / "model.safetensors",
               *WriteSafetensors(tensors_, {}));
    auto checkpoint = *Checkpoint::Open(directory_.path());
    return LoadEncoderDecoderModel(*ParseModelConfig(json.dump()), checkpoint,
                                   at::Device(at::kCPU), dtype);
  }
  absl::StatusOr<Model> Load() { return Load(T5Json(name_)); }

  // Logits of two outputs of one input.
  static at::Tensor TinyLogits(const EncoderDecoderModel& model) {
    const at::NoGradGuard no_grad;
    return model.Logits(
        *model.Decode(Outputs(model, *model.Encode(Input(model)))));
  }
  static EncoderRows Input(const EncoderDecoderModel& model) {
    EncoderRows input;
    input.embeddings = model.Embed(at::tensor({7, 50, 8, 9, 11}, at::kLong));
    input.segments = {{.begin = 0, .length = 5}};
    return input;
  }
  static DecoderRows Outputs(const EncoderDecoderModel& model,
                             const at::Tensor& memory) {
    DecoderRows outputs;
    outputs.rows.embeddings =
        model.Embed(at::tensor({0, 40, 0, 60, 61}, at::kLong));
    outputs.rows.segments = {{.begin = 0, .length = 2},
                             {.begin = 2, .length = 3}};
    outputs.memory = memory;
    outputs.memories.assign(2, {.begin = 0, .length = 5});
    return outputs;
  }

  TempDirectory directory_;
  std::string name_;
  TensorMap tensors_;
};

TEST_F(T5Test, TheTableGoesByThreeNames) {
  Take("t5");
  const at::Tensor expected = TinyLogits(**Load());

  for (const char* name : {"encoder.embed_tokens.weight",
                           "decoder.embed_tokens.weight", "lm_head.weight"}) {
    Take("t5");
    tensors_[name] = tensors_.at("shared.weight").clone();
    const auto beside = Load();
    ASSERT_OK(beside);
    EXPECT_TRUE((*beside)->config().tie_embeddings) << name;
    EXPECT_LT(RelativeDifference(TinyLogits(**beside), expected), 1e-6) << name;

    tensors_.erase("shared.weight");
    const auto instead = Load();
    ASSERT_OK(instead);
    EXPECT_LT(RelativeDifference(TinyLogits(**instead), expected), 1e-6)
        << name;
  }
}

TEST_F(T5Test, AHeadInTheFileIsNotTied) {
  Take("t5_v11");
  const auto own = Load();
  ASSERT_OK(own);
  EXPECT_FALSE((*own)->config().tie_embeddings);

  tensors_.erase("lm_head.weight");
  const auto tied = Load();
  ASSERT_OK(tied);
  EXPECT_TRUE((*tied)->config().tie_embeddings);
  EXPECT_GT(RelativeDifference(TinyLogits(**tied), TinyLogits(**own)), 0.1);
}

TEST_F(T5Test, NamesAHeadThatIsMissing) {
  Take("t5_v11");
  tensors_.erase("lm_head.weight");
  nlohmann::json json = T5Json();
  json["tie_word_embeddings"] = false;

  EXPECT_THAT(Load(json), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("lm_head.weight")));
}

TEST_F(T5Test, NamesTensorsThatAreMissingOrSurplus) {
  Take("mt5");
  Rename("decoder.block.0.layer.1.EncDecAttention.k.weight",
         "decoder.block.0.layer.1.EncDecAttention.key.weight");

  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               AllOf(HasSubstr("EncDecAttention.k.weight"),
                                     HasSubstr("EncDecAttention.key.weight"))));
}

TEST_F(T5Test, TheOldBiasOfCrossAttentionIsLeftAside) {
  Take("t5");
  const at::Tensor expected = TinyLogits(**Load());
  tensors_
      ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias."
       "weight"] = RandomTensor({8, 3}, 1);

  const auto model = Load();

  ASSERT_OK(model);
  EXPECT_LT(RelativeDifference(TinyLogits(**model), expected), 1e-6);
}

TEST_F(T5Test, NarrowWeightsComeClose) {
  Take("t5_v11");
  const auto wide = Load();
  const auto narrow = Load(T5Json(), at::kBFloat16);
  ASSERT_OK(wide);
  ASSERT_OK(narrow);

  EXPECT_EQ((*narrow)->dtype(), at::kBFloat16);
  // A weight is off by up to 2^-9 of itself, and few layers follow each other.
  EXPECT_LT(RelativeDifference(TinyLogits(**narrow), TinyLogits(**wide)), 0.05);
}

TEST_F(T5Test, GradientsReachOutputsAndMemory) {
  Take("t5_v11");  // smooth
  const auto loaded = Load();
  ASSERT_OK(loaded);
  const EncoderDecoderModel& model = **loaded;
  const at::Tensor memory = (*model.Encode(Input(model))).detach();
  const at::Tensor output = Outputs(model, memory).rows.embeddings;
  const auto run = [&](const std::vector<at::Tensor>& in) {
    DecoderRows rows = Outputs(model, in[1]);
    rows.rows.embeddings = in[0];
    return *model.Decode(rows);
  };
  const std::vector<at::Tensor> inputs = {output, memory};
  const std::vector<at::Tensor> gradients = Gradients(run, inputs);

  // Along its gradient the sum that Gradients differentiates grows by the
  // gradient's norm.
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-2;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double norm = gradients[i].norm().item<double>();
    ASSERT_GT(norm, 0.1) << i;
    double change = 0;
    for (const double sign : {1.0, -1.0}) {
      std::vector<at::Tensor> moved = inputs;
      moved[i] = moved[i] + gradients[i] * (sign * kStep / norm);
      const at::Tensor hidden = run(moved);
      const at::Tensor weights =
          RandomTensor(hidden.sizes().vec(), /*seed=*/99);
      change += sign * (hidden * weights).to(at::kDouble).sum().item<double>();
    }
    // fp32 sums of order ten are good to 1e-5, the change is a hundredth.
    EXPECT_NEAR(change / (2 * kStep), norm, 0.02 * norm) << i;
  }
}

TEST_F(T5Test, ACachedSequenceIsNotDifferentiable) {
  Take("t5");
  const auto model = Load();
  ASSERT_OK(model);
  const at::AutoGradMode grad(true);
  const at::Tensor memory = RandomTensor({5, 24}, 1).requires_grad_(true);
  DecoderRows outputs = Outputs(**model, memory);
  KvSequence sequence;
  outputs.rows.segments[0].sequence = &sequence;

  EXPECT_THAT((*model)->Decode(outputs),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("differentiable")));
  EXPECT_EQ(sequence.length(), 0);
}

TEST_F(T5Test, RefusesMoreRowsThanTheContext) {
  Take("t5");
  nlohmann::json json = T5Json("t5");
  json["n_positions"] = 4;
  const auto model = Load(json);
  ASSERT_OK(model);

  EXPECT_THAT((*model)->Encode(Input(**model)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("beyond the context of 4")));
}

TEST_F(T5Test, AMemoryHasRowsOfTheModel) {
  Take("mt5");
  const auto model = Load();
  ASSERT_OK(model);

  const auto memory = (*model)->BuildMemory(RandomTensor({3, 24}, 1));

  ASSERT_OK(memory);
  EXPECT_EQ((*memory)->length(), 3);
  EXPECT_EQ((*memory)->num_layers(), 1);  // of the decoder
  for (const at::Tensor& wrong :
       {at::Tensor(), RandomTensor({3, 23}, 1), RandomTensor({0, 24}, 1)}) {
    EXPECT_THAT((*model)->BuildMemory(wrong),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("24")));
  }
}

}  // namespace
}  // namespace attune::worker
