#include "worker/tasks/row_key.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

RowKey Ask(const TaskProgram& program, const std::string& fields) {
  return QuestionKey(program, fields);
}

RowKey Say(const TaskProgram& program, const std::string& answer,
           const std::string& fields = R"({"text": "a"})") {
  return WholeKey(program, QuestionKey(program, fields),
                  {.row = 1, .fields = fields, .answer = answer});
}

TEST(RowKey, WhiteSpaceThatMeansNothingDoesNotCount) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const RowKey key = Ask(*program, R"({"text": "a b"})");

  EXPECT_EQ(Ask(*program, R"({"text": " a \n\t b "})"), key);
  EXPECT_FALSE(Ask(*program, R"({"text": "ab"})") == key);
  EXPECT_FALSE(Ask(*program, R"({"text": "A b"})") == key);
}

TEST(RowKey, OnlyFieldsThatTheTemplateReadsCount) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_EQ(Ask(*program, R"({"text": "a", "id": 1})"),
            Ask(*program, R"({"id": 2, "text": "a"})"));
  EXPECT_FALSE(Ask(*program, R"({"text": "a"})") == Ask(*program, "{}"));
}

TEST(RowKey, NumbersCountAsTheyAreEqual) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_EQ(Ask(*program, R"({"text": 1})"), Ask(*program, R"({"text": 1.0})"));
  EXPECT_FALSE(Ask(*program, R"({"text": 1})") ==
               Ask(*program, R"({"text": "1"})"));
}

TEST(RowKey, TextsInListsAreNormalisedToo) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_EQ(Ask(*program, R"({"text": ["a  b", {"x": " c"}]})"),
            Ask(*program, R"({"text": ["a b", {"x": "c"}]})"));
}

TEST(RowKey, WordsAreTheSameAsAListAndAsAText) {
  const auto program = CompileTask(TagTask({"O", "B-N"}), 0, "encoder");

  EXPECT_EQ(Ask(*program, R"({"tokens": ["a", "b"]})"),
            Ask(*program, R"({"tokens": "a  b"})"));
}

TEST(RowKey, AnswersTellRowsOfOneQuestionApart) {
  const auto program = CompileTask(TextTask(4));

  EXPECT_EQ(Say(*program, "the end"), Say(*program, " the  end\n"));
  EXPECT_FALSE(Say(*program, "the end") == Say(*program, "the start"));
}

TEST(RowKey, TextsAreTheSameInAnyCase) {
  EXPECT_EQ(TextKey("Where is it?"), TextKey("  where\tIS it? "));
  EXPECT_FALSE(TextKey("where is it?") == TextKey("where is it"));
}

TEST(RowKey, AnswersInAContextAreComparedAsTexts) {
  const auto program = CompileTask(SpanTask(), 0, "encoder");
  const std::string fields = R"({"question": "q", "context": "7 is it 7"})";

  EXPECT_EQ(Say(*program, "[[0,1]]", fields), Say(*program, "[[8,9]]", fields));
  EXPECT_EQ(Say(*program, "[[0,1],[2,4]]", fields),
            Say(*program, "[[2,4],[0,1]]", fields));
  EXPECT_FALSE(Say(*program, "[[0,1]]", fields) == Say(*program, "[]", fields));
}

}  // namespace
}  // namespace attune::worker
