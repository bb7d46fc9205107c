#include "worker/tasks/shown_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

TEST(ShownText, ShortTextsStayWhole) {
  EXPECT_EQ(Abbreviated("abc"), "abc");
  EXPECT_EQ(Abbreviated(std::string(500, 'x')), std::string(500, 'x'));
}

TEST(ShownText, LongTextsLoseTheirMiddle) {
  const std::string text = Abbreviated("begin" + std::string(5000, 'x') + "end",
                                       /*max_bytes=*/100);

  EXPECT_LE(text.size(), 100u);
  EXPECT_THAT(text, StartsWith("beginxxx"));
  EXPECT_THAT(text, EndsWith("xxxend"));
  EXPECT_NE(text.find(" ... "), text.npos);
}

TEST(ShownText, CharactersAreNotCut) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\xe2\x82\xac";  // three bytes

  const std::string shown = Abbreviated(text, /*max_bytes=*/50);

  const size_t gap = shown.find(" ... ");
  EXPECT_EQ(gap % 3, 0u);
  EXPECT_EQ((shown.size() - gap - 5) % 3, 0u);
}

TEST(ShownText, InputsAreReadBackFromTheirTokens) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const TaskInput input = *program->PrepareInput(R"({"text": "it is"})", 1);

  EXPECT_EQ(DecodedInput(*program, input), "Text: it is\nLabel:");
}

TEST(ShownText, RowsOfThePromptAreCounted) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ soft_prompt }}Text:{{ soft_prompt }} {{ text }}");
  task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  const auto program = CompileTask(task, 3);

  EXPECT_EQ(
      DecodedInput(*program, *program->PrepareInput(R"({"text": "it"})", 1)),
      "[1 row of the prompt]Text:[2 rows of the prompt] it");
}

TEST(ShownText, RightAnswersReadAsPeopleWriteThem) {
  attune::v1::TaskSpec several = LabelTask({"one", "two"});
  several.set_multi_label(true);
  const auto labels = CompileTask(several, 0, "encoder");
  const auto text = CompileTask(TextTask(4));

  PreparedExample both;
  both.labels = {0, 1};
  PreparedExample word;
  word.answer = "the";

  EXPECT_EQ(RightText(*labels, both), "one, two");
  EXPECT_EQ(RightText(*text, word), "the");
}

}  // namespace
}  // namespace attune::worker
