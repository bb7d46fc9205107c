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
  EXPECT_EQ(config->rope_theta, 100000.0);
  EXPECT_TRUE(config->tie_embeddings);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config->bos_token_id, -1);
}

TEST(ModelConfig, CountsParameters) {
  const auto tied = ParseModelConfig(Valid().dump());
  const auto untied = With("tie_word_embeddings", false);

  // Per layer: q and o 48*48, k and v 16*48, three 48*64, two norms.
  const int64_t layer = 2 * 48 * 48 + 2 * 16 * 48 + 3 * 48 * 64 + 2 * 48;
  EXPECT_EQ(tied->NumParameters(), 2 * layer + 100 * 48 + 48);
  EXPECT_EQ(untied->NumParameters(), tied->NumParameters() + 100 * 48);
}

TEST(ModelConfig, NewerSpellingsMeanTheSame) {
  Json json = Valid();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "default"}};
  json["dtype"] = "bfloat16";

  const auto config = ParseModelConfig(json.dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->rope_theta, 5000.0);
  EXPECT_EQ(config->checkpoint_dtype, "bfloat16");
  EXPECT_EQ(With("torch_dtype", "float16")->checkpoint_dtype, "float16");
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
      {"torch_dtype", 32}};
  for (const auto& [key, value] : kWrong) {
    EXPECT_THAT(With(key, value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)))
        << value;
  }
}

TEST(ModelConfig, RefusesWhatNoCodeComputesByName) {
  const std::pair<const char*, Json> kUnsupported[] = {
      {"model_type", "mamba"},
      {"attention_bias", true},
      {"mlp_bias", true},
      {"hidden_act", "gelu"},
      {"partial_rotary_factor", 0.5},
      {"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}},
      {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}},
      {"quantization_config", {{"bits", 4}}}};
  for (const auto& [key, value] : kUnsupported) {
    EXPECT_THAT(With(key, value),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(key)))
        << value;
  }
}

TEST(ModelConfig, RefusesWhatIsNoJsonObject) {
  EXPECT_THAT(
      ParseModelConfig("[]"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not an object")));
  EXPECT_THAT(ParseModelConfig("{"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")));
}

}  // namespace
}  // namespace attune::worker
