#include "worker/tasks/split_examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

attune::v1::TaskSpec SplitTask() {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("{{ text }}");
  FillTaskDefaults(task);
  return task;
}

std::string JsonRow(const std::string& text, const std::string& split) {
  return absl::StrCat(R"({"label":"a","text":")", text, "\"",
                      split.empty() ? "" : ",\"split\":\"" + split + "\"", "}");
}

std::vector<int64_t> NumbersOf(const std::vector<Example>& examples) {
  std::vector<int64_t> numbers;
  numbers.reserve(examples.size());
  for (const Example& one : examples) numbers.push_back(one.row);
  return numbers;
}

TEST(SplitExamples, ASplitHasItsRowsOnly) {
  const std::vector<std::string> rows = {
      JsonRow("1", "train"), JsonRow("2", ""), JsonRow("3", "dev"),
      JsonRow("4", "validation"), JsonRow("5", "test")};
  const auto read = [&](const char* split) {
    return NumbersOf(*ReadSplitExamples(rows, {.split = split}, SplitTask()));
  };

  EXPECT_THAT(read("train"), ElementsAre(1, 2));
  EXPECT_THAT(read("validation"), ElementsAre(3, 4));
  EXPECT_THAT(read("test"), ElementsAre(5));
  EXPECT_THAT(read("all"), ElementsAre(1, 2, 3, 4, 5));
}

TEST(SplitExamples, AnswerAndSplitAreNoFields) {
  const auto examples =
      ReadSplitExamples({JsonRow("x", "test")}, {}, SplitTask());

  ASSERT_OK(examples);
  EXPECT_EQ((*examples)[0].fields, R"({"text":"x"})");
  EXPECT_EQ((*examples)[0].answer, "a");
}

TEST(SplitExamples, AGenerationMayHaveSeveralRightAnswers) {
  attune::v1::TaskSpec task = SplitTask();
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  task.set_answer_field("target");
  const auto examples = ReadSplitExamples(
      {R"({"text":"a","target":"x"})", R"({"text":"b","target":["y","z"]})"},
      {.split = "all"}, task);

  ASSERT_OK(examples);
  EXPECT_EQ((*examples)[0].answer, "x");
  EXPECT_TRUE((*examples)[0].other_answers.empty());
  EXPECT_EQ((*examples)[1].answer, "y");
  EXPECT_THAT((*examples)[1].other_answers, ElementsAre("z"));
}

TEST(SplitExamples, DrawnRowsKeepTheirOrderAndFollowTheSeed) {
  std::vector<std::string> rows;
  for (int i = 0; i < 50; ++i) rows.push_back(JsonRow("x", "test"));
  const auto draw = [&](uint64_t seed) {
    return NumbersOf(
        *ReadSplitExamples(rows, {.max_rows = 10, .seed = seed}, SplitTask()));
  };

  const std::vector<int64_t> drawn = draw(1);

  EXPECT_EQ(drawn.size(), 10u);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_EQ(drawn, draw(1));
  EXPECT_NE(drawn, draw(2));
}

TEST(SplitExamples, BadRowsAreNamed) {
  EXPECT_THAT(ReadSplitExamples({JsonRow("x", "test"), "[1]"}, {}, SplitTask()),
              ReasonIs(Reason::kInvalidData, HasSubstr("row 2")));
  EXPECT_THAT(
      ReadSplitExamples({R"({"split":"test","text":"x"})"}, {}, SplitTask()),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("row 1"), HasSubstr("'label'"))));
}

TEST(SplitExamples, BadRowsOfOtherSplitsDoNotMatter) {
  EXPECT_OK(ReadSplitExamples(
      {JsonRow("x", "test"), R"({"split":"train","text":"x"})"}, {},
      SplitTask()));
}

TEST(SplitExamples, ASplitWithoutRowsIsRefused) {
  EXPECT_THAT(ReadSplitExamples({JsonRow("x", "train")}, {}, SplitTask()),
              ReasonIs(Reason::kIllegalState, HasSubstr("'test'")));
}

}  // namespace
}  // namespace attune::worker
