#include "worker/models/gpt_neox.h"

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

absl::StatusOr<ModelConfig> GptNeoxWith(const char* key, nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/gpt_neox/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(GptNeox, RotatesAPartOfEachHead) {
  const auto config = GptNeoxWith("use_cache", true);

  ASSERT_OK(config);
  EXPECT_EQ(config->rotary.fraction, 0.25);
  EXPECT_TRUE(config->parallel_residual);
}

TEST(GptNeox, NothingToRotateIsAnError) {
  EXPECT_THAT(
      GptNeoxWith("rope_parameters",
                  {{"rope_type", "default"}, {"partial_rotary_factor", 0.01}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("head_dim")));
}

}  // namespace
}  // namespace attune::worker
