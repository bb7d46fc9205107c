#include "worker/metrics/code_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<char32_t> CodePoints(std::string_view text) {
  std::vector<char32_t> code_points;
  while (!text.empty()) code_points.push_back(TakeCodePoint(text));
  return code_points;
}

TEST(TakeCodePoint, ReadsOneToFourBytes) {
  EXPECT_THAT(CodePoints("aé中😀"), ElementsAre('a', 0xE9, 0x4E2D, 0x1F600));
}

TEST(TakeCodePoint, ReplacesBytesThatBeginNothing) {
  EXPECT_THAT(CodePoints("\xFFz"), ElementsAre(0xFFFD, 'z'));
  // Cut short, too long a form, half of a surrogate pair, beyond Unicode.
  EXPECT_THAT(CodePoints("\xE4\xB8"), ElementsAre(0xFFFD, 0xFFFD));
  EXPECT_THAT(CodePoints("\xC0\x80"), ElementsAre(0xFFFD, 0xFFFD));
  EXPECT_THAT(CodePoints("\xE0\x80\x80"), ElementsAre(0xFFFD, 0xFFFD, 0xFFFD));
  EXPECT_THAT(CodePoints("\xED\xA0\x80"), ElementsAre(0xFFFD, 0xFFFD, 0xFFFD));
  EXPECT_EQ(CodePoints("\xF4\x90\x80\x80").size(), 4u);
}

TEST(TakeCodePoint, GoesOnBehindACharacterThatIsCutShort) {
  EXPECT_THAT(CodePoints("\xE4\xB8z"), ElementsAre(0xFFFD, 0xFFFD, 'z'));
}

TEST(IsSpace, HoldsFor29Characters) {
  int count = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) count += IsSpace(c) ? 1 : 0;

  EXPECT_EQ(count, 29);
  EXPECT_TRUE(IsSpace(0x1F));
  EXPECT_TRUE(IsSpace(0x3000));
  EXPECT_FALSE(IsSpace(0x200B));
}

TEST(Strip, TakesWhiteSpaceAway) {
  EXPECT_EQ(Strip("\u3000 a b\u00a0\n"), "a b");
  EXPECT_EQ(StripRight(" a \u2028"), " a");
  EXPECT_EQ(Strip(" \t"), "");
  EXPECT_EQ(Strip(""), "");
}

TEST(SplitWords, SplitsAtAnyWhiteSpace) {
  EXPECT_THAT(SplitWords(" a\u2003中国\x1f\n b"),
              ElementsAre("a", "中国", "b"));
}

TEST(SplitWords, OfWhiteSpaceAreNone) {
  EXPECT_THAT(SplitWords(""), IsEmpty());
  EXPECT_THAT(SplitWords(" \u0085"), IsEmpty());
}

}  // namespace
}  // namespace attune::worker
