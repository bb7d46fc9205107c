#include "worker/models/opt.h"

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

absl::StatusOr<ModelConfig> OptWith(const char* key, nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/opt_350m/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(Opt, EmbeddingsMayBeNarrowerThanLayers) {
  const auto config = OptWith("use_cache", true);

  ASSERT_OK(config);
  EXPECT_EQ(config->embedding_dim, 16);
  EXPECT_EQ(config->layer_dim, 32);
  EXPECT_FALSE(config->norm_before);
}

TEST(Opt, RefusesNormsWithoutWeights) {
  EXPECT_THAT(OptWith("layer_norm_elementwise_affine", false),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("layer_norm_elementwise_affine")));
}

}  // namespace
}  // namespace attune::worker
