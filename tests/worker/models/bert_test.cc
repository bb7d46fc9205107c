#include "worker/models/bert.h"

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

absl::StatusOr<ModelConfig> BertWith(const char* key, nlohmann::json value) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/bert/config.json"));
  json[key] = std::move(value);
  return ParseModelConfig(json.dump());
}

TEST(Bert, ReadsItsHead) {
  EXPECT_EQ(BertWith("use_cache", true)->head, EncoderHead::kNone);
  EXPECT_EQ(BertWith("architectures", {"BertForSequenceClassification"})->head,
            EncoderHead::kSequence);
}

TEST(Bert, PositionsOfRobertaBeginBehindThePadding) {
  nlohmann::json json = nlohmann::json::parse(
      ReadBytes("tests/golden/architectures/roberta_mlm/config.json"));

  const auto config = ParseModelConfig(json.dump());

  ASSERT_OK(config);
  EXPECT_EQ(config->position_offset, 2);
  EXPECT_EQ(config->context_length, 48);
}

TEST(Bert, RefusesRelativePositions) {
  EXPECT_THAT(BertWith("position_embedding_type", "relative_key"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("position_embedding_type")));
}

}  // namespace
}  // namespace attune::worker
