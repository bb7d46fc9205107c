#include "worker/models/gemma3.h"

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

absl::StatusOr<ModelConfig> Gemma3With(const char* key, nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/gemma3_text/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(Gemma3, LayersWithAWindowHaveABaseOfTheirOwn) {
  const auto config = Gemma3With("use_cache", true);

  ASSERT_OK(config);
  EXPECT_TRUE(config->LayerHasWindow(0));
  EXPECT_FALSE(config->LayerHasWindow(1));
  EXPECT_EQ(config->window_rotary.theta, 100);
  EXPECT_EQ(config->rotary.theta, 5000);
  EXPECT_EQ(config->rotary.scaling, RotaryConfig::Scaling::kLinear);
}

TEST(Gemma3, RefusesCappedScores) {
  EXPECT_THAT(Gemma3With("attn_logit_softcapping", 50.0),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("attn_logit_softcapping")));
}

}  // namespace
}  // namespace attune::worker
