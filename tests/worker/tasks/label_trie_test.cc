#include "worker/tasks/label_trie.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kEnd = 99;
using Word = LabelTrie::Word;

// The tokens of every choice on the way to word `w`, as "chosen of all".
std::vector<std::string> ChoicesOf(const LabelTrie& trie, int w) {
  std::vector<std::string> choices;
  for (const LabelTrie::Choice& choice : trie.word_choices()[w]) {
    const auto& children = trie.nodes()[choice.node].children;
    std::string text =
        Concat(trie.nodes()[children[choice.child]].token, " of");
    for (int child : children) {
      text = Concat(text, " ", trie.nodes()[child].token);
    }
    choices.push_back(text);
  }
  return choices;
}

std::string ErrorOf(const std::vector<Word>& words, int num_labels) {
  const absl::Status status =
      LabelTrie::Build(words, num_labels, kEnd).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return status.ToString();
}

TEST(LabelTrie, SingleTokenWordsAreOneChoice) {
  const LabelTrie trie = *LabelTrie::Build(
      {{0, "no", {7}}, {1, "yes", {8}}, {2, "maybe", {9}}}, 3, kEnd);

  EXPECT_THAT(ChoicesOf(trie, 0), ElementsAre("7 of 7 8 9"));
  EXPECT_THAT(ChoicesOf(trie, 2), ElementsAre("9 of 7 8 9"));
  EXPECT_THAT(trie.full_plan().branches, IsEmpty());
  ASSERT_EQ(trie.full_plan().questions.size(), 1u);
  EXPECT_EQ(trie.full_plan().questions[0].branch, -1);
}

TEST(LabelTrie, TokensThatLeaveNoChoiceAreNotAsked) {
  const LabelTrie trie = *LabelTrie::Build(
      {{0, "card arrival", {1, 2, 3}}, {1, "top up", {4, 5}}}, 2, kEnd);

  EXPECT_THAT(ChoicesOf(trie, 0), ElementsAre("1 of 1 4"));
  EXPECT_THAT(ChoicesOf(trie, 1), ElementsAre("4 of 1 4"));
  EXPECT_THAT(trie.full_plan().branches, IsEmpty());
}

TEST(LabelTrie, WordsWithACommonBeginningAskTwice) {
  const LabelTrie trie = *LabelTrie::Build({{0, "card arrival", {1, 2, 3}},
                                            {1, "card linking", {1, 2, 4}},
                                            {2, "top up", {5}}},
                                           3, kEnd);

  EXPECT_THAT(ChoicesOf(trie, 0), ElementsAre("1 of 1 5", "3 of 3 4"));
  EXPECT_THAT(ChoicesOf(trie, 1), ElementsAre("1 of 1 5", "4 of 3 4"));
  EXPECT_THAT(ChoicesOf(trie, 2), ElementsAre("5 of 1 5"));
  ASSERT_EQ(trie.full_plan().branches.size(), 1u);
  EXPECT_THAT(trie.full_plan().branches[0].ids, ElementsAre(1, 2));
  ASSERT_EQ(trie.full_plan().questions.size(), 2u);
  EXPECT_EQ(trie.full_plan().questions[1].branch, 0);
  EXPECT_EQ(trie.full_plan().questions[1].offset, 1);
}

TEST(LabelTrie, AWordThatAnotherContinuesEndsInTheEndToken) {
  const LabelTrie trie =
      *LabelTrie::Build({{0, "card", {1}}, {1, "card lost", {1, 2}}}, 2, kEnd);

  EXPECT_THAT(ChoicesOf(trie, 0), ElementsAre("99 of 2 99"));
  EXPECT_THAT(ChoicesOf(trie, 1), ElementsAre("2 of 2 99"));
  EXPECT_THAT(trie.full_plan().branches[0].ids, ElementsAre(1));
}

TEST(LabelTrie, BranchesBranchAgain) {
  const LabelTrie trie = *LabelTrie::Build({{0, "a", {1, 2, 3}},
                                            {1, "b", {1, 2, 4, 5, 6}},
                                            {2, "c", {1, 2, 4, 5, 7}},
                                            {3, "d", {1, 8, 9}},
                                            {4, "e", {1, 8, 10}}},
                                           5, kEnd);

  const LabelTrie::Plan& plan = trie.full_plan();

  ASSERT_EQ(plan.branches.size(), 3u);
  EXPECT_THAT(plan.branches[0].ids, ElementsAre(1));
  EXPECT_EQ(plan.branches[0].parent, -1);
  EXPECT_THAT(plan.branches[1].ids, ElementsAre(2, 4, 5));
  EXPECT_EQ(plan.branches[1].parent, 0);
  EXPECT_THAT(plan.branches[2].ids, ElementsAre(8));
  EXPECT_EQ(plan.branches[2].parent, 0);
  EXPECT_EQ(plan.questions.size(), 4u);
  EXPECT_THAT(ChoicesOf(trie, 2),
              ElementsAre("2 of 2 8", "4 of 3 4", "7 of 6 7"));
}

TEST(LabelTrie, TheWayToOneLabelNeedsItsOwnNodesOnly) {
  const LabelTrie trie = *LabelTrie::Build(
      {{0, "a", {1, 3}}, {1, "b", {1, 4}}, {2, "c", {2, 3}}, {3, "d", {2, 4}}},
      4, kEnd);

  EXPECT_EQ(trie.full_plan().branches.size(), 2u);
  ASSERT_EQ(trie.label_plan(2).branches.size(), 1u);
  EXPECT_THAT(trie.label_plan(2).branches[0].ids, ElementsAre(2));
  EXPECT_EQ(trie.label_plan(2).questions.size(), 2u);
}

TEST(LabelTrie, ALabelMayHaveSeveralWords) {
  const LabelTrie trie = *LabelTrie::Build(
      {{0, "good", {1}}, {0, "great", {2}}, {1, "bad", {3}}}, 2, kEnd);

  EXPECT_THAT(trie.label_words()[0], ElementsAre(0, 1));
  EXPECT_THAT(trie.label_words()[1], ElementsAre(2));
}

TEST(LabelTrie, RefusesWordsOfTheSameTokens) {
  EXPECT_THAT(ErrorOf({{0, "colour", {1, 2}}, {1, "color", {1, 2}}}, 2),
              HasSubstr("'colour' and 'color' become the same tokens"));
}

TEST(LabelTrie, RefusesAWordWithoutTokens) {
  EXPECT_THAT(ErrorOf({{0, "x", {1}}, {1, "y", {}}}, 2),
              HasSubstr("'y' has no tokens"));
}

TEST(LabelTrie, RefusesTheEndTokenInsideAWord) {
  EXPECT_THAT(ErrorOf({{0, "x", {1}}, {1, "stop", {2, kEnd}}}, 2),
              HasSubstr("'stop' contains the model's end-of-text token"));
}

TEST(LabelTrie, RefusesALabelWithoutWords) {
  EXPECT_THAT(ErrorOf({{0, "x", {1}}, {0, "y", {2}}}, 2),
              HasSubstr("label 1 has no words"));
}

TEST(LabelTrie, CountsAllWordsThatAreWrong) {
  EXPECT_THAT(
      ErrorOf({{0, "x", {1}}, {1, "y", {}}, {1, "z", {1}}, {0, "w", {2}}}, 2),
      HasSubstr("'y' has no tokens in this model (and 1 more)"));
}

}  // namespace
}  // namespace attune::worker
