#include "worker/tasks/demonstration_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr size_t kAnyBytes = 1000;

std::vector<std::string> PoolTexts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) {
    texts.push_back(absl::StrCat("it is ", i * 7919, " and ", i % 3));
  }
  return texts;
}

std::unique_ptr<const NearestDemonstrations> NearestOfPool() {
  return *NearestDemonstrations::Create(PoolTexts(), *TinyModel()->tokenizer,
                                        *TinyModel()->model);
}

// With an answer of two bytes each.
DemonstrationPool PoolOf(size_t count) {
  std::vector<ShownExample> examples;
  for (const std::string& text : PoolTexts()) {
    examples.push_back({.question = text, .answer = "no"});
  }
  return DemonstrationPool(std::move(examples), NearestOfPool(), count);
}

// The texts of the `count` nearest, the nearest last.
std::vector<std::string> TextsNearestTo(const std::string& question,
                                        size_t count) {
  const std::vector<std::string> texts = PoolTexts();
  std::vector<std::string> nearest;
  const std::vector<size_t> places = *NearestOfPool()->Nearest(question, count);
  for (const size_t place : places) {
    nearest.insert(nearest.begin(), texts[place]);
  }
  return nearest;
}

std::vector<std::string> QuestionsOf(const DemonstrationPool::Choice& choice) {
  std::vector<std::string> texts;
  for (const ShownExample& one : choice.shown) texts.push_back(one.question);
  return texts;
}

// Lets at most `most` pass, and counts how often it is asked.
DemonstrationPool::Fits LetPass(size_t most, int& calls) {
  return [most, &calls](
             absl::Span<const ShownExample> shown) -> absl::StatusOr<bool> {
    ++calls;
    return shown.size() <= most;
  };
}

TEST(DemonstrationPool, IsFixedUnlessTheNearestAreLookedFor) {
  EXPECT_TRUE(DemonstrationPool().is_empty());
  EXPECT_TRUE(DemonstrationPool().is_fixed());
  const std::vector<ShownExample> one = {{.question = "a", .answer = "no"}};
  const DemonstrationPool fixed(one);
  EXPECT_TRUE(fixed.is_fixed());
  EXPECT_EQ(fixed.examples().size(), 1u);
  EXPECT_FALSE(PoolOf(3).is_fixed());
  EXPECT_FALSE(PoolOf(3).is_empty());
  EXPECT_GT(PoolOf(3).num_bytes(), fixed.num_bytes());
}

TEST(DemonstrationPool, TheNearestStandsLast) {
  int calls = 0;

  const DemonstrationPool::Choice choice =
      *PoolOf(4).Choose("it is 12", kAnyBytes, LetPass(4, calls));

  EXPECT_THAT(QuestionsOf(choice),
              ElementsAreArray(TextsNearestTo("it is 12", 4)));
  EXPECT_EQ(choice.num_left_out, 0);
  EXPECT_EQ(calls, 1);
}

TEST(DemonstrationPool, TheFarthestAreLeftOutFirst) {
  for (size_t most = 0; most <= 16; ++most) {
    int calls = 0;

    const DemonstrationPool::Choice choice =
        *PoolOf(16).Choose("it is 12", kAnyBytes, LetPass(most, calls));

    EXPECT_THAT(QuestionsOf(choice),
                ElementsAreArray(TextsNearestTo("it is 12", most)));
    EXPECT_EQ(choice.num_left_out, 16 - static_cast<int>(most));
    EXPECT_LE(calls, 5);
  }
}

TEST(DemonstrationPool, BytesAreALimitToo) {
  int calls = 0;
  const std::vector<std::string> nearest = TextsNearestTo("it is 12", 2);
  const size_t bytes = nearest[0].size() + nearest[1].size() + 2 * 2;

  const DemonstrationPool::Choice choice =
      *PoolOf(4).Choose("it is 12", bytes, LetPass(4, calls));
  const DemonstrationPool::Choice none =
      *PoolOf(4).Choose("it is 12", 0, LetPass(4, calls));

  EXPECT_THAT(QuestionsOf(choice), ElementsAreArray(nearest));
  EXPECT_EQ(choice.num_left_out, 2);
  EXPECT_THAT(none.shown, IsEmpty());
  EXPECT_EQ(none.num_left_out, 4);
}

TEST(DemonstrationPool, WhatAsksTheSameIsNoneOfThem) {
  int calls = 0;
  const std::string own = PoolTexts()[5];

  const DemonstrationPool::Choice choice =
      *PoolOf(20).Choose(own, kAnyBytes, LetPass(20, calls));

  EXPECT_EQ(choice.shown.size(), 19u);
  EXPECT_THAT(QuestionsOf(choice), Not(Contains(own)));
  // There was room for all that there are.
  EXPECT_EQ(choice.num_left_out, 0);
}

TEST(DemonstrationPool, AnErrorEndsTheChoice) {
  EXPECT_THAT(PoolOf(4).Choose(
                  "it is 12", kAnyBytes,
                  [](absl::Span<const ShownExample>) -> absl::StatusOr<bool> {
                    return MakeError(Reason::kInternal, "broken");
                  }),
              ReasonIs(Reason::kInternal, "broken"));
}

}  // namespace
}  // namespace attune::worker
