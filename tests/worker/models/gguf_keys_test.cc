#include "worker/models/gguf_keys.h"

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gguf_builder.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

class GgufKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    GgufBuilder builder;
    builder.Set("llama.count", 7u);
    builder.Set("llama.epsilon", 1e-5f);
    builder.Set("llama.text", "a\nb");
    builder.Set("llama.list", std::vector<int32_t>{1, 2});
    builder.Set("llama.nothing", std::numeric_limits<float>::quiet_NaN());
    builder.Set("other.count", 8u);
    auto gguf = Gguf::FromBytes(builder.Build(), "m.gguf");
    ASSERT_OK(gguf);
    gguf_ = std::make_unique<Gguf>(*std::move(gguf));
    keys_ = std::make_unique<GgufKeys>(*gguf_, "llama");
  }

  std::unique_ptr<Gguf> gguf_;
  std::unique_ptr<GgufKeys> keys_;
};

TEST_F(GgufKeysTest, AreThoseOfTheArchitecture) {
  EXPECT_EQ(*keys_->Size("count"), 7);
  EXPECT_EQ(*keys_->SizeOr("none", 3), 3);
  EXPECT_FALSE(keys_->Has("none"));
  EXPECT_THAT(keys_->Size("none"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'llama.none'")));
  EXPECT_THAT(keys_->SizeOr("text", 3),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("'llama.text' has another type")));
}

TEST_F(GgufKeysTest, NumbersAreTheShortestDecimals) {
  EXPECT_EQ(*keys_->Number("epsilon"), 1e-5);
  EXPECT_EQ(*keys_->NumberOr("none", 0.1), 0.1);
  EXPECT_THAT(keys_->Number("nothing"),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("'llama.nothing' is no finite number")));
}

TEST_F(GgufKeysTest, RefusalsShowKeyAndValue) {
  EXPECT_OK(keys_->RefuseUnless("none", 0));
  EXPECT_OK(keys_->RefuseUnless("count", 7));
  EXPECT_THAT(keys_->RefuseUnless("count", 0),
              StatusIs(absl::StatusCode::kUnimplemented,
                       "m.gguf: metadata key 'llama.count' = 7 is not "
                       "supported"));
  EXPECT_THAT(keys_->RefuseUnless("text", 0),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr(R"('llama.text' = 'a\nb' is)")));
  EXPECT_THAT(keys_->RefuseUnless("list", 0),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.list' = an array of 2")));
  EXPECT_THAT(keys_->RefuseUnless("nothing", 0),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.nothing' = nan")));
}

}  // namespace
}  // namespace attune::worker
