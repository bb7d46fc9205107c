#include "worker/tasks/input_spans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kBegin = 3;  // of the context
constexpr size_t kAround = 6;

// "q: 0123...!" with a context of `size` bytes, where every byte is a token of
// its own, whose id is its place, between two added ones.
Encoding QuestionTokens(size_t size) {
  Encoding encoding;
  const auto add = [&](int64_t id, size_t begin, size_t end, int sequence) {
    encoding.ids.push_back(id);
    encoding.offsets.push_back({begin, end});
    encoding.sequences.push_back(sequence);
  };
  add(1000, 0, 0, -1);
  for (size_t i = 0; i < kBegin + size + 1; ++i) {
    add(static_cast<int64_t>(i), i, i + 1, 0);
  }
  add(1001, 0, 0, -1);
  return encoding;
}

absl::StatusOr<std::vector<ContextWindow>> TryCut(size_t size, int64_t limit,
                                                  int64_t overlap) {
  return CutWindows(QuestionTokens(size), kBegin, kBegin + size, limit,
                    overlap);
}

std::vector<ContextWindow> Cut(size_t size, int64_t limit, int64_t overlap) {
  const auto windows = TryCut(size, limit, overlap);
  EXPECT_OK(windows);
  return *windows;
}

TEST(CutWindows, AContextThatFitsIsOneWindow) {
  const std::vector<ContextWindow> windows = Cut(10, 16, 3);

  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].ids, QuestionTokens(10).ids);
  EXPECT_EQ(windows[0].first, 4);
  ASSERT_EQ(windows[0].tokens.size(), 10u);
  EXPECT_EQ(windows[0].tokens[0], (Encoding::ByteRange{0, 1}));
  EXPECT_EQ(windows[0].tokens[9], (Encoding::ByteRange{9, 10}));
}

TEST(CutWindows, NeighboursOverlapAndHaveAllTheOtherText) {
  // Room for twenty tokens of the context.
  const std::vector<ContextWindow> windows = Cut(45, kAround + 20, 5);

  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].tokens.front(), (Encoding::ByteRange{0, 1}));
  EXPECT_EQ(windows[0].tokens.back(), (Encoding::ByteRange{19, 20}));
  EXPECT_EQ(windows[1].tokens.front(), (Encoding::ByteRange{15, 16}));
  EXPECT_EQ(windows[2].tokens.front(), (Encoding::ByteRange{30, 31}));
  EXPECT_EQ(windows[2].tokens.back(), (Encoding::ByteRange{44, 45}));
  EXPECT_EQ(windows[1].ids.size(), kAround + 20);
  EXPECT_THAT(
      std::vector<int64_t>(windows[1].ids.begin(), windows[1].ids.begin() + 6),
      ElementsAre(1000, 0, 1, 2, 18, 19));
  EXPECT_THAT(
      std::vector<int64_t>(windows[1].ids.end() - 3, windows[1].ids.end()),
      ElementsAre(37, 48, 1001));
}

TEST(CutWindows, NoMoreThanHalfOfAWindowIsItsNeighbours) {
  const std::vector<ContextWindow> windows = Cut(40, kAround + 16, 64);

  ASSERT_EQ(windows.size(), 4u);
  EXPECT_EQ(windows[1].tokens.front().begin, 8u);
  EXPECT_EQ(windows[3].tokens.back().end, 40u);
}

TEST(CutWindows, RefusesWhereTheOtherTextLeavesTooLittle) {
  EXPECT_OK(TryCut(20, kAround + kMinWindowTokens, 2));
  EXPECT_THAT(TryCut(20, kAround + kMinWindowTokens - 1, 2),
              ReasonIs(Reason::kInputTooLong, HasSubstr("6 tokens")));
}

TEST(CutWindows, RefusesMoreWindowsThanOneInputMayCost) {
  EXPECT_EQ(Cut(16 * 64, kAround + 16, 0).size(), 64u);
  EXPECT_THAT(TryCut(16 * 64 + 1, kAround + 16, 0),
              ReasonIs(Reason::kInputTooLong, HasSubstr("65 windows")));
}

TEST(CutWindows, RefusesAContextWithoutTokens) {
  EXPECT_THAT(CutWindows(QuestionTokens(10), 14, 14, 16, 2),
              ReasonIs(Reason::kInvalidData, HasSubstr("no tokens")));
}

TEST(CutWindows, ATokenMayBeginBeforeTheContext) {
  Encoding encoding = QuestionTokens(10);
  encoding.offsets[4].begin = 2;  // the context's first, with the space

  const auto windows = CutWindows(encoding, kBegin, kBegin + 10, 16, 2);

  ASSERT_OK(windows);
  EXPECT_EQ((*windows)[0].tokens[0], (Encoding::ByteRange{0, 1}));
}

TEST(TrimTokens, TakesWhiteSpaceAtTheirEnds) {
  InputContext context;
  context.text = "a b\t \tc";
  context.windows.emplace_back().tokens = {{0, 1}, {1, 4}, {4, 5}, {5, 7}};

  TrimTokens(context);

  EXPECT_THAT(
      context.windows[0].tokens,
      ElementsAre(Encoding::ByteRange{0, 1}, Encoding::ByteRange{2, 3},
                  Encoding::ByteRange{5, 5}, Encoding::ByteRange{6, 7}));
}

TEST(TokensOfSpan, CountsFromOneWithinTheWindow) {
  const std::vector<ContextWindow> windows = Cut(40, kAround + 20, 5);

  EXPECT_EQ(TokensOfSpan(windows[0], {16, 18}), std::pair(17, 18));
  EXPECT_EQ(TokensOfSpan(windows[1], {16, 18}), std::pair(2, 3));
}

TEST(TokensOfSpan, IsZeroWithoutAllOfIt) {
  const std::vector<ContextWindow> windows = Cut(40, kAround + 20, 5);

  EXPECT_EQ(TokensOfSpan(windows[0], {18, 22}), std::pair(0, 0));
  EXPECT_EQ(TokensOfSpan(windows[1], {14, 16}), std::pair(0, 0));
  EXPECT_EQ(TokensOfSpan(windows[0], {}), std::pair(0, 0));
}

TEST(TokensOfSpan, CharactersWithoutATokenBelongToTheEnds) {
  // The first and the last character of the context have no token.
  Encoding encoding = QuestionTokens(10);
  for (const size_t i : {size_t{4}, size_t{12}}) {
    encoding.ids.erase(encoding.ids.begin() + i);
    encoding.offsets.erase(encoding.offsets.begin() + i);
    encoding.sequences.erase(encoding.sequences.begin() + i);
  }

  const auto windows = CutWindows(encoding, kBegin, kBegin + 10, 16, 2);

  ASSERT_OK(windows);
  const ContextWindow& window = (*windows)[0];
  EXPECT_EQ(window.tokens.front(), (Encoding::ByteRange{1, 2}));
  EXPECT_EQ(TokensOfSpan(window, {0, 3}), std::pair(1, 2));
  EXPECT_EQ(TokensOfSpan(window, {7, 10}), std::pair(7, 8));
  EXPECT_TRUE(HasTokenOf(window, {0, 2}));
  EXPECT_FALSE(HasTokenOf(window, {0, 1}));
}

TEST(TokensOfFirst, AimsAtTheFirstAnswerThatTheWindowHas) {
  const std::vector<ContextWindow> windows = Cut(40, kAround + 20, 5);
  const std::vector<ContextSpan> answers = {{2, 4}, {30, 32}, {31, 32}};

  EXPECT_EQ(TokensOfFirst(windows[0], answers), std::pair(3, 4));
  EXPECT_EQ(TokensOfFirst(windows[1], answers), std::pair(16, 17));
  EXPECT_EQ(TokensOfFirst(windows[0], {}), std::pair(0, 0));
}

}  // namespace
}  // namespace attune::worker
