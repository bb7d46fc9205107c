#include "worker/metrics/bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> WordsBy13a(const std::string& text) {
  return BleuWords(text, BleuTokenizer::k13a);
}

BleuCounts CountBy13a(const std::vector<std::string>& right,
                      const std::string& given) {
  return CountForBleu(right, given, BleuTokenizer::k13a);
}

TEST(BleuWords, SeparatePunctuationButNotInNumbers) {
  EXPECT_THAT(
      WordsBy13a("It's 1,000.5 (or so), ok."),
      ElementsAre("It's", "1,000.5", "(", "or", "so", ")", ",", "ok", "."));
  EXPECT_THAT(WordsBy13a("a,b 3, .5"),
              ElementsAre("a", ",", "b", "3", ",", ".", "5"));
}

TEST(BleuWords, SeparateADashBehindADigitOnly) {
  EXPECT_THAT(WordsBy13a("10-12 e-mail"),
              ElementsAre("10", "-", "12", "e-mail"));
}

TEST(BleuWords, UnescapeOneAfterTheOther) {
  EXPECT_THAT(WordsBy13a("&amp;lt;&quot;<skipped>"), ElementsAre("<", "\""));
}

TEST(BleuWords, JoinLinesAtADashUnlessItIsTheLastOne) {
  EXPECT_THAT(WordsBy13a("hand-\nbook x-\n"), ElementsAre("handbook", "x-"));
}

TEST(BleuWords, OfChineseAreCharactersWithZhOnly) {
  EXPECT_THAT(BleuWords("我爱you。", BleuTokenizer::kZh),
              ElementsAre("我", "爱", "you", "。"));
  EXPECT_THAT(WordsBy13a("我爱you。"), ElementsAre("我爱you。"));
}

TEST(BleuWords, OfWhiteSpaceAreNone) {
  EXPECT_THAT(WordsBy13a(" \n\u3000"), IsEmpty());
  EXPECT_THAT(BleuWords(" \n\u3000", BleuTokenizer::kZh), IsEmpty());
}

TEST(CountForBleu, ClipsMatchesToTheAnswerWithMost) {
  const BleuCounts counts = CountBy13a({"the cat", "the the"}, "the the the");

  EXPECT_THAT(counts.matches, ElementsAre(2, 1, 0, 0));
  EXPECT_THAT(counts.totals, ElementsAre(3, 2, 1, 0));
}

TEST(CountForBleu, TakesTheNearestLengthAndOfTwoTheShorter) {
  EXPECT_EQ(CountBy13a({"a b c d e", "a b"}, "a b c").right_words, 2);
  EXPECT_EQ(CountBy13a({"a b c d", "a b"}, "a b c").right_words, 2);
  EXPECT_EQ(CountBy13a({}, "a b c").right_words, 0);
}

TEST(Bleu, IsOneForTheSameAndZeroWithoutAMatch) {
  EXPECT_DOUBLE_EQ(BleuOf(CountBy13a({"a b c d"}, "a b c d")), 1);
  EXPECT_EQ(BleuOf(CountBy13a({"a b c d"}, "e f g h")), 0);
}

TEST(Bleu, IsZeroWithoutFourWordsOrRows) {
  EXPECT_EQ(BleuOf(CountBy13a({"a b c"}, "a b c")), 0);
  EXPECT_EQ(BleuOf(CountBy13a({"a b c"}, "")), 0);
  EXPECT_EQ(BleuOf(BleuCounts{}), 0);
}

TEST(Bleu, PunishesShortAnswersOfTheWholeCorpusOnly) {
  BleuCounts sum = CountBy13a({"a b c d e f g h"}, "a b c d");
  EXPECT_NEAR(BleuOf(sum), std::exp(-1), 1e-12);

  sum += CountBy13a({"a b c d"}, "a b c d a b c d");
  EXPECT_EQ(sum.given_words, sum.right_words);
}

TEST(Bleu, HalvesEachOrderWithoutAMatch) {
  // 4 of 4 words match, no pair, triple or quadruple of 3, 2 and 1.
  const double score = BleuOf(CountBy13a({"d c b a"}, "a b c d"));

  EXPECT_NEAR(score, std::pow(1.0 / (2 * 3) / (4 * 2) / 8, 0.25), 1e-12);
}

}  // namespace
}  // namespace attune::worker
