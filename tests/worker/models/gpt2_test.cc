#include "worker/models/gpt2.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/models/model_config.h"

// What a model computes is held against transformers in
// decoders_golden_test.cc; here is what its config may say.
namespace attune::worker {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ModelConfig> Gpt2With(const char* key, nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/gpt2/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(Gpt2, ReadsOldAndNewKeys) {
  const auto config = Gpt2With("n_inner", nullptr);

  ASSERT_OK(config);
  EXPECT_EQ(config->ffn_dim, 4 * config->dim);
  EXPECT_EQ(config->num_kv_heads, config->num_heads);
  EXPECT_TRUE(config->tie_embeddings);
}

TEST(Gpt2, RefusesOtherScales) {
  EXPECT_THAT(Gpt2With("scale_attn_weights", false),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("scale_attn_weights")));
  EXPECT_THAT(Gpt2With("scale_attn_by_inverse_layer_idx", true),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("scale_attn_by_inverse_layer_idx")));
}

}  // namespace
}  // namespace attune::worker
