#include "worker/models/model_config.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Valid() {
  return {{"model_type", "llama"},       {"vocab_size", 100},
          {"hidden_size", 48},           {"num_hidden_layers", 2},
          {"num_attention_heads", 6},    {"num_key_value_heads", 2},
          {"intermediate_size", 64},     {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-5},        {"rope_theta", 100000.0},
          {"tie_word_embeddings", true}, {"eos_token_id", 2}};
}

absl::StatusOr<ModelConfig> With(const char* key, Json value) {
  Json json = Valid();
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(ModelConfig, ReadsALlama) {
  const auto config = ParseModelConfig(Valid().dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->family, "llama");
  EXPECT_EQ(config->head_dim, 8);
  EXPECT_EQ(config->rotary.theta, 100000.0);
  EXPECT_TRUE(config->tie_embeddings);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config->bos_token_id, -1);
}

TEST(ModelConfig, NewerSpellingsMeanTheSame) {
  Json json = Valid();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "default"}};
  json["dtype"] = "bfloat16";

  const auto config = ParseModelConfig(json.dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->rotary.theta, 5000.0);
  EXPECT_EQ(config->checkpoint_dtype, "bfloat16");
  EXPECT_EQ(With("torch_dtype", "float16")->checkpoint_dtype, "float16");
}

TEST(ModelConfig, ReadsRotaryScaling) {
  const auto linear = With("rope_scaling", {{"type", "linear"}, {"factor", 2}});
  const auto llama3 =
      With("rope_scaling", {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 64}});

  ASSERT_OK(linear);
  EXPECT_EQ(linear->rotary.scaling, RotaryConfig::Scaling::kLinear);
  EXPECT_EQ(linear->rotary.factor, 2);
  EXPECT_EQ(linear->rotary.theta, 100000.0);
  ASSERT_OK(llama3);
  EXPECT_EQ(llama3->rotary.scaling, RotaryConfig::Scaling::kLlama3);
  EXPECT_EQ(llama3->rotary.original_context, 64);
  EXPECT_EQ(llama3->rotary.high_frequency_factor, 4);
}

TEST(ModelConfig, KnowsWhichLayersHaveAWindow) {
  Json mistral = Valid();
  mistral["model_type"] = "mistral";
  mistral["sliding_window"] = 16;
  Json qwen = mistral;
  qwen["model_type"] = "qwen2";
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 1;
  Json without = qwen;
  without["use_sliding_window"] = false;

  EXPECT_THAT(ParseModelConfig(mistral.dump())->layer_has_window,
              ElementsAre(true, true));
  EXPECT_EQ(ParseModelConfig(mistral.dump())->sliding_window, 16);
  EXPECT_THAT(ParseModelConfig(qwen.dump())->layer_has_window,
              ElementsAre(false, true));
  EXPECT_EQ(ParseModelConfig(without.dump())->sliding_window, 0);
  qwen["layer_types"] = {"sliding_attention"};
  EXPECT_THAT(
      ParseModelConfig(qwen.dump()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layer_types")));
}

TEST(ModelConfig, BiasesDependOnTheFamily) {
  Json qwen = Valid();
  qwen["model_type"] = "qwen2";

  EXPECT_FALSE(ParseModelConfig(Valid().dump())->qkv_bias);
  EXPECT_TRUE(With("attention_bias", true)->output_bias);
  EXPECT_TRUE(ParseModelConfig(qwen.dump())->qkv_bias);
  EXPECT_FALSE(ParseModelConfig(qwen.dump())->output_bias);
}

TEST(ModelConfig, AnUnknownFamilyIsToldWhichThereAre) {
  EXPECT_THAT(With("model_type", "mamba"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("mamba"), HasSubstr("gpt2, "))));
}

TEST(ModelConfig, TakesAListOfEndTokens) {
  EXPECT_THAT(With("eos_token_id", {1, 7})->eos_token_ids, ElementsAre(1, 7));
}

TEST(ModelConfig, KeyHeadsDefaultToAllHeads) {
  Json json = Valid();
  json.erase("num_key_value_heads");

  EXPECT_EQ(ParseModelConfig(json.dump())->num_kv_heads, 6);
}

TEST(ModelConfig, NamesTheKeyThatIsMissing) {
  for (const char* key : {"model_type", "vocab_size", "hidden_size",
                          "num_hidden_layers", "num_attention_heads",
                          "intermediate_size", "max_position_embeddings"}) {
    Json json = Valid();
    json.erase(key);
    EXPECT_THAT(ParseModelConfig(json.dump()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(key), HasSubstr("missing"))));
  }
}

TEST(ModelConfig, NamesTheKeyWhoseValueIsImpossible) {
  const std::pair<const char*, Json> kWrong[] = {
      {"vocab_size", 0},           {"hidden_size", -1},
      {"hidden_size", "48"},       {"num_hidden_layers", 1e30},
      {"num_hidden_layers", 2.5},  {"num_attention_heads", 5},
      {"num_hidden_layers", 1025}, {"head_dim", 1 << 22},
      {"num_key_value_heads", 4},  {"head_dim", 7},
      {"rms_norm_eps", 0.0},       {"rope_theta", -1.0},
      {"eos_token_id", 100},       {"tie_word_embeddings", 1},
      {"torch_dtype", 32},         {"partial_rotary_factor", 0.5},
      {"rope_scaling", 3},         {"rope_scaling", {{"type", "linear"}}}};
  for (const auto& [key, value] : kWrong) {
    EXPECT_THAT(With(key, value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)))
        << value;
  }
}

TEST(ModelConfig, RefusesWhatNoCodeComputesByName) {
  const std::pair<const char*, Json> kUnsupported[] = {
      {"model_type", "mamba"},
      {"hidden_act", "gelu"},
      {"hidden_act", "laplace"},
      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 8.0}}},
      {"quantization_config", {{"bits", 4}}}};
  for (const auto& [key, value] : kUnsupported) {
    EXPECT_THAT(With(key, value),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(key)))
        << value;
  }
}

TEST(ModelConfig, RefusesDeepNestingAndKeysThatOccurTwice) {
  EXPECT_THAT(ParseModelConfig("{\"a\": " + std::string(1 << 20, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested deeper than 16")));
  EXPECT_THAT(
      ParseModelConfig(R"({"model_type": "llama", "model_type": "gpt2"})"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("'model_type' occurs twice")));
}

TEST(ModelConfig, RefusesWhatIsNoJsonObject) {
  EXPECT_THAT(
      ParseModelConfig("[]"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not an object")));
  EXPECT_THAT(ParseModelConfig("{"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.json: JSON")));
}

}  // namespace
}  // namespace attune::worker
