#include "worker/models/distilbert.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/models/model_config.h"

// What a model computes is held against transformers in
// encoders_golden_test.cc; here is what its config may say.
namespace attune::worker {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ModelConfig> DistilBertWith(const char* key,
                                           nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/distilbert_mlm/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(DistilBert, ReadsItsOwnKeys) {
  const auto config = DistilBertWith("use_cache", true);

  ASSERT_OK(config);
  EXPECT_EQ(config->dim, 24);
  EXPECT_EQ(config->num_token_types, 0);
  EXPECT_EQ(config->head, EncoderHead::kMaskedLanguage);
}

TEST(DistilBert, HeadsMustDivideTheWidth) {
  EXPECT_THAT(DistilBertWith("n_heads", 5),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("num_attention_heads")));
}

}  // namespace
}  // namespace attune::worker
