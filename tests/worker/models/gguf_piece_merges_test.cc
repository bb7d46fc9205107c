#include "worker/models/gguf_piece_merges.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using Names = std::vector<std::pair<std::string, std::string>>;

// The merges by their parts' texts.
Names MergesOf(const std::vector<std::string>& tokens,
               const std::vector<int64_t>& types,
               const std::vector<double>& scores) {
  const auto merges = MergesOfScores(tokens, types, scores, "m.gguf");
  EXPECT_OK(merges);
  Names names;
  for (const auto& [left, right] : *merges) {
    names.emplace_back(tokens[left], tokens[right]);
  }
  return names;
}

TEST(GgufPieceMerges, TheHighestScoreGoesFirst) {
  EXPECT_THAT(MergesOf({"a", "b", "c", "bc", "ab"}, {1, 1, 1, 1, 1},
                       {-5, -6, -7, -2, -1}),
              ElementsAre(Pair("a", "b"), Pair("b", "c")));
}

TEST(GgufPieceMerges, OfOnePieceTheLongerLeftPartGoesFirst) {
  EXPECT_THAT(MergesOf({"a", "aa", "aaa"}, {1, 1, 1}, {-3, -1, -2}),
              ElementsAre(Pair("a", "a"), Pair("aa", "a"), Pair("a", "aa")));
}

TEST(GgufPieceMerges, CutBetweenCharactersAndNotWithin) {
  // The first bytes of "\u00e9" and of the mark, as tokens, are no parts.
  EXPECT_THAT(MergesOf({"▁", "é", "▁é", "\xc3", "\xe2\x96"}, {1, 1, 1, 1, 1},
                       {0, 0, 0, 0, 0}),
              ElementsAre(Pair("▁", "é")));
}

TEST(GgufPieceMerges, SpecialTokensAndBytesAreNotMade) {
  // Types: control, byte, unused.
  EXPECT_THAT(
      MergesOf({"a", "b", "aa", "ab", "ba"}, {1, 1, 3, 6, 5}, {0, 0, 0, 0, 0}),
      IsEmpty());
}

TEST(GgufPieceMerges, UserDefinedTokensGoBeforeAllOthers) {
  EXPECT_THAT(MergesOf({"a", "b", "ab", "bb"}, {1, 1, 1, 4}, {0, 0, 9, -1000}),
              ElementsAre(Pair("b", "b"), Pair("a", "b")));
}

TEST(GgufPieceMerges, NamesATokenThatIsTooLong) {
  EXPECT_THAT(
      MergesOfScores({"a", std::string(257, 'a')}, {1, 1}, {0, 0}, "m.gguf"),
      ReasonIs(Reason::kCorruptModel,
               AllOf(HasSubstr("m.gguf"), HasSubstr("token 1,"),
                     HasSubstr("longer than 256 bytes"))));
  EXPECT_THAT(MergesOf({"a", std::string(257, 'a')}, {1, 4}, {0, 0}),
              IsEmpty());
}

}  // namespace
}  // namespace attune::worker
