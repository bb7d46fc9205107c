#include "worker/text/token_stream.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

class TokenStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = *Tokenizer::FromJson(TinyTokenizerJson());
  }

  std::vector<int64_t> Ids(std::string_view text) {
    return tokenizer_->Encode(text, /*add_special_tokens=*/false)->ids;
  }

  // What each id gives, and after them what Finish gives.
  std::vector<std::string> Pieces(const std::vector<int64_t>& ids,
                                  bool skip_special_tokens = true) {
    TokenStream stream(*tokenizer_, skip_special_tokens);
    std::vector<std::string> pieces;
    for (const int64_t id : ids) pieces.push_back(*stream.Push(id));
    pieces.push_back(*stream.Finish());
    return pieces;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenStreamTest, GivesEveryTokenAtOnceInAscii) {
  EXPECT_THAT(Pieces(Ids("the ax")), ElementsAre("t", "he", " a", "x", ""));
}

TEST_F(TokenStreamTest, HoldsACharacterUntilItIsComplete) {
  EXPECT_THAT(Pieces(Ids("a😀b")), ElementsAre("a", "", "", "", "😀", "b", ""));
}

TEST_F(TokenStreamTest, AnUnfinishedCharacterBecomesAReplacement) {
  std::vector<int64_t> ids = Ids("a😀");
  ids.pop_back();

  EXPECT_THAT(Pieces(ids), ElementsAre("a", "", "", "", "\xEF\xBF\xBD"));
}

TEST_F(TokenStreamTest, SpecialTokensGiveNothingWhenSkipped) {
  const std::vector<int64_t> ids = Ids("a<|im_end|>b");

  EXPECT_THAT(Pieces(ids), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(Pieces(ids, /*skip_special_tokens=*/false),
              ElementsAre("a", "<|im_end|>", "b", ""));
}

TEST_F(TokenStreamTest, PiecesTogetherEqualDecode) {
  const std::string text =
      "Zürich 世界 👨‍👩‍👧‍👦 the positive\n\n  end "
      "\xEF\xBF\xBD!";
  const std::vector<int64_t> ids = Ids(text);

  std::string joined;
  for (const std::string& piece : Pieces(ids)) joined += piece;

  EXPECT_EQ(joined, text);
  EXPECT_EQ(joined, *tokenizer_->Decode(ids, true));
}

TEST_F(TokenStreamTest, BadBytesInTheMiddleAreKept) {
  // The first two bytes of a three-byte character, then an ASCII letter.
  std::vector<int64_t> ids = Ids("世");
  ids.resize(2);
  ids.push_back(Ids("a")[0]);

  std::string joined;
  for (const std::string& piece : Pieces(ids)) joined += piece;

  EXPECT_EQ(joined, *tokenizer_->Decode(ids, true));
  EXPECT_EQ(joined.back(), 'a');
}

TEST_F(TokenStreamTest, RefusesIdsThatAreNone) {
  TokenStream stream(*tokenizer_, true);

  EXPECT_THAT(stream.Push(-1), StatusIs(absl::StatusCode::kInvalidArgument,
                                        testing::HasSubstr("-1")));
}

}  // namespace
}  // namespace attune::worker
