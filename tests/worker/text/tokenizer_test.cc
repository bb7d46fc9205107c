#include "worker/text/tokenizer.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ByteRange = Encoding::ByteRange;

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::FromJson(TinyTokenizerJson());
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
  }

  std::vector<int64_t> Ids(std::string_view text) {
    return tokenizer_->Encode(text, /*add_special_tokens=*/false)->ids;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizerTest, KnowsItsVocabulary) {
  EXPECT_EQ(tokenizer_->vocab_size(), 300);
  EXPECT_EQ(tokenizer_->TokenToId("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer_->TokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer_->IdToToken(0), "<|endoftext|>");
  EXPECT_EQ(tokenizer_->IdToToken(300), std::nullopt);
  EXPECT_EQ(tokenizer_->IdToToken(-1), std::nullopt);
}

TEST_F(TokenizerTest, AppliesMergesInOrder) {
  const int64_t the = *tokenizer_->TokenToId("Ġthe");

  EXPECT_THAT(Ids(" the the"), ElementsAre(the, the));
}

TEST_F(TokenizerTest, OffsetsAreBytesOfTheText) {
  const auto encoding = tokenizer_->Encode("é the", false);

  ASSERT_OK(encoding);
  // Both bytes of é belong to the one character.
  EXPECT_THAT(encoding->offsets,
              ElementsAre(ByteRange{0, 2}, ByteRange{0, 2}, ByteRange{2, 6}));
}

TEST_F(TokenizerTest, SpecialTokensInTheTextAreOneToken) {
  EXPECT_THAT(Ids("<|im_start|>"), ElementsAre(1));
}

TEST_F(TokenizerTest, DecodeUndoesEncode) {
  const std::string text = "  Grüße, 世界! 👩‍🚀\n\tthe end\x01";

  const auto decoded = tokenizer_->Decode(Ids(text), false);

  EXPECT_EQ(*decoded, text);
}

TEST_F(TokenizerTest, DecodeSkipsSpecialTokensOnRequest) {
  const std::vector<int64_t> ids = Ids("<|im_start|>a<|im_end|>");

  EXPECT_EQ(*tokenizer_->Decode(ids, /*skip_special_tokens=*/true), "a");
  EXPECT_EQ(*tokenizer_->Decode(ids, /*skip_special_tokens=*/false),
            "<|im_start|>a<|im_end|>");
}

TEST_F(TokenizerTest, EmptyTextHasNoTokens) {
  EXPECT_THAT(Ids(""), ElementsAre());
  EXPECT_EQ(*tokenizer_->Decode({}, false), "");
}

TEST_F(TokenizerTest, KeepsZeroBytes) {
  const std::string text("a\0b", 3);

  EXPECT_EQ(*tokenizer_->Decode(Ids(text), false), text);
}

TEST_F(TokenizerTest, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(tokenizer_->Encode("ab\xff", false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not UTF-8: invalid byte at offset 2")));
}

TEST_F(TokenizerTest, RefusesTextBeyondTheLimit) {
  const std::string text(Tokenizer::kMaxTextBytes + 1, 'a');

  EXPECT_THAT(tokenizer_->Encode(text, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("longer than the 1048576")));
}

TEST_F(TokenizerTest, RefusesIdsThatAreNone) {
  const std::vector<int64_t> ids = {1, -5};

  EXPECT_THAT(tokenizer_->Decode(ids, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("-5 is not a token id")));
}

TEST_F(TokenizerTest, IdsWithoutATokenAddNothing) {
  const std::vector<int64_t> ids = {70'000, *tokenizer_->TokenToId("a")};

  EXPECT_EQ(*tokenizer_->Decode(ids, false), "a");
}

TEST_F(TokenizerTest, ThreadsShareOneInstance) {
  const std::vector<int64_t> expected = Ids("the positive giving");
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);

  for (int& count : equal) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        count += Ids("the positive giving") == expected ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(equal, ElementsAre(50, 50, 50, 50));
}

TEST(Tokenizer, RefusesJsonThatIsNoTokenizer) {
  EXPECT_THAT(Tokenizer::FromJson("{\"model\": 1}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a tokenizer.json")));
  EXPECT_THAT(
      Tokenizer::FromJson(""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer")));
}

TEST(Tokenizer, PaddingAndTruncationOfTheFileAreOff) {
  std::string json = TinyTokenizerJson();
  const std::string truncation = "\"truncation\":null";
  json.replace(json.find(truncation), truncation.size(),
               R"("truncation":{"direction":"Right","max_length":2,)"
               R"("strategy":"LongestFirst","stride":0})");

  const auto tokenizer = Tokenizer::FromJson(json);

  ASSERT_OK(tokenizer);
  EXPECT_EQ((*tokenizer)->Encode("xyzw", false)->ids.size(), 4u);
}

}  // namespace
}  // namespace attune::worker
