#include "worker/metrics/ngrams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WordNumbers, AreTheSameForTheSameWord) {
  WordNumbers numbers;

  EXPECT_THAT(numbers.Of({"a", "b", "a"}), ElementsAre(0, 1, 0));
  EXPECT_THAT(numbers.Of({"c", "b"}), ElementsAre(2, 1));
}

TEST(NgramNumbers, AreTheSameInAllTexts) {
  NgramNumbers numbers(3);
  const Ngrams a = numbers.Of({7, 8, 9});
  const Ngrams b = numbers.Of({8, 9, 7, 8});

  EXPECT_THAT(a[0], ElementsAre(7, 8, 9));
  EXPECT_EQ(CountCommon(a[1], b[1]), 2);
  EXPECT_EQ(CountCommon(a[2], b[2]), 0);
}

TEST(NgramNumbers, OfAShortTextHaveNoLongOnes) {
  const Ngrams ngrams = NgramNumbers(3).Of({5, 5});

  ASSERT_EQ(ngrams.size(), 3u);
  EXPECT_EQ(ngrams[1].size(), 1u);
  EXPECT_THAT(ngrams[2], IsEmpty());
}

TEST(CountCommon, MatchesEachOnce) {
  EXPECT_EQ(CountCommon({1, 1, 1, 2, 4}, {1, 1, 3, 4, 4}), 3);
  EXPECT_EQ(CountCommon({}, {1}), 0);
}

}  // namespace
}  // namespace attune::worker
