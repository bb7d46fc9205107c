#include "worker/tasks/cut_tokens.h"

#include <gtest/gtest.h>

#include <string>

namespace attune::worker {
namespace {

// One token for every byte of `text`.
Encoding TokenPerByte(const std::string& text) {
  Encoding encoding;
  for (size_t i = 0; i < text.size(); ++i) {
    encoding.ids.push_back(1);
    encoding.offsets.push_back({i, i + 1});
  }
  return encoding;
}

TEST(CutTokens, TakesTokensAtOneEnd) {
  const Encoding tokens = TokenPerByte("abcdef");

  EXPECT_EQ(CutTokens("abcdef", tokens, 2, attune::v1::TRUNCATION_SIDE_LEFT),
            "cdef");
  EXPECT_EQ(CutTokens("abcdef", tokens, 2, attune::v1::TRUNCATION_SIDE_RIGHT),
            "abcd");
}

TEST(CutTokens, LeavesNothingOfAsManyTokens) {
  EXPECT_EQ(
      CutTokens("ab", TokenPerByte("ab"), 2, attune::v1::TRUNCATION_SIDE_LEFT),
      "");
}

TEST(CutTokens, KeepsCharactersWhole) {
  const std::string text = "\xe2\x82\xac\xe2\x82\xac";  // two euro signs
  const Encoding tokens = TokenPerByte(text);

  EXPECT_EQ(CutTokens(text, tokens, 1, attune::v1::TRUNCATION_SIDE_LEFT),
            "\xe2\x82\xac");
  EXPECT_EQ(CutTokens(text, tokens, 1, attune::v1::TRUNCATION_SIDE_RIGHT),
            "\xe2\x82\xac");
}

}  // namespace
}  // namespace attune::worker
