#include "worker/tasks/prepared_example.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(PreparedExample, KnowsItsLabel) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const auto prepared = *PrepareExamples(
      *program, {{.row = 7, .fields = R"({"text": "a"})", .answer = "no"}});

  EXPECT_EQ(prepared[0].row, 7);
  EXPECT_EQ(prepared[0].label, 1);
  EXPECT_FALSE(prepared[0].input.ids.empty());
  EXPECT_TRUE(prepared[0].answer_ids.empty());
}

TEST(PreparedExample, KnowsItsAnswersTokens) {
  const auto program = CompileTask(TextTask(8));

  const auto prepared = *PrepareExamples(
      *program, {{.row = 1, .fields = R"({"text": "a"})", .answer = "the"}});

  EXPECT_EQ(*program->model().tokenizer->Decode(prepared[0].answer_ids, false),
            " the<|im_end|>");
}

TEST(PreparedExample, AnswersAfterWhiteSpaceAreBare) {
  attune::v1::TaskSpec task = TextTask(8);
  task.set_template_("{{ text }}> ");
  const auto program = CompileTask(task);

  const auto prepared = *PrepareExamples(
      *program, {{.row = 1, .fields = R"({"text": "a"})", .answer = "the"}});

  EXPECT_EQ(*program->model().tokenizer->Decode(prepared[0].answer_ids, false),
            "the<|im_end|>");
}

TEST(PreparedExample, CountsWhatWasCut) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_truncation()->set_max_input_tokens(20);
  const auto program = CompileTask(task);
  const std::string long_text(60, '7');

  const auto prepared = *PrepareExamples(
      *program,
      {{.fields = R"({"text": "a"})", .answer = "no"},
       {.fields = "{\"text\": \"" + long_text + "\"}", .answer = "no"}});

  EXPECT_EQ(CountTruncated(prepared), 1);
}

TEST(PreparedExample, WindowsAreExamplesOfTheirOwn) {
  const auto program = CompileTask(SpanTask(), 0, "encoder");
  const auto prepared = *PrepareExamples(
      *program, {{.row = 3,
                  .fields = absl::StrCat(R"({"question": "a", "context": ")",
                                         std::string(300, '7'), "\"}"),
                  .answer = "[[0,4],[290,300]]"}});
  const auto& windows = prepared[0].input.context.windows;

  const std::vector<PreparedExample> parts = SplitWindows(prepared[0]);

  ASSERT_GE(windows.size(), 3u);
  ASSERT_EQ(parts.size(), windows.size());
  EXPECT_EQ(prepared[0].weight(), windows.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ(parts[i].row, 3);
    EXPECT_EQ(parts[i].input.ids, windows[i].ids);
    EXPECT_EQ(parts[i].input.num_tokens(),
              static_cast<int64_t>(windows[i].ids.size()));
    EXPECT_EQ(parts[i].weight(), 1);
    EXPECT_EQ(TokensOfFirst(parts[i].input.context.windows[0], parts[i].spans),
              TokensOfFirst(windows[i], prepared[0].spans));
  }
}

TEST(PreparedExample, NamesTheRowThatCannotBePrepared) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_THAT(
      PrepareExamples(*program, {{.row = 4, .fields = "{}", .answer = "no"}}),
      ReasonIs(Reason::kInvalidTemplate,
               AllOf(HasSubstr("row 4"), HasSubstr("text"))));
  EXPECT_THAT(
      PrepareExamples(
          *program,
          {{.row = 5, .fields = R"({"text": "a"})", .answer = "perhaps"}}),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("row 5"), HasSubstr("perhaps"))));
}

TEST(PreparedExample, AnAnswerThatLeavesNoRoomIsAnError) {
  attune::v1::TaskSpec task = TextTask(8);
  const auto program = CompileTask(task);

  EXPECT_THAT(PrepareExamples(*program, {{.row = 2,
                                          .fields = R"({"text": "a"})",
                                          .answer = std::string(300, '7')}}),
              ReasonIs(Reason::kInputTooLong, HasSubstr("row 2")));
}

TEST(PreparedExample, KnowsItsRightChoice) {
  const auto program = CompileTask(ChoiceTask());

  const auto prepared = *PrepareExamples(
      *program, {{.row = 1,
                  .fields = R"({"text": "a", "choices": ["the", "it is"]})",
                  .answer = "it is"}});

  EXPECT_EQ(prepared[0].label, 1);
  EXPECT_EQ(prepared[0].weight(), 1);
  const InputChoices& choices = prepared[0].input.choices;
  EXPECT_EQ(*program->model().tokenizer->Decode(choices.ids[1], false),
            " it is");
}

TEST(PreparedExample, NamesTheRowOfChoicesThatAreNone) {
  const auto program = CompileTask(ChoiceTask());

  EXPECT_THAT(
      PrepareExamples(*program,
                      {{.row = 7,
                        .fields = R"({"text": "a", "choices": ["x", " x"]})",
                        .answer = "x"}}),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("row 7"), HasSubstr("field 'choices'"),
                     HasSubstr("same tokens"))));
}

TEST(PreparedExample, FaultsThatMayPassLeaveTheSoundRows) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  std::vector<Fault> faults;

  const auto prepared = PrepareExamples(
      *program,
      {{.row = 4, .fields = "{}", .answer = "no"},
       {.row = 5, .fields = R"({"text": "a"})", .answer = "perhaps"},
       {.row = 6, .fields = R"({"text": "a"})", .answer = "no"}},
      /*pause=*/nullptr, [&faults](const absl::Status& fault) {
        for (Fault& one : FaultsIn(fault)) faults.push_back(std::move(one));
        return absl::OkStatus();
      });

  ASSERT_OK(prepared);
  ASSERT_EQ(prepared->size(), 1u);
  EXPECT_EQ((*prepared)[0].row, 6);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].row, 4);
  EXPECT_EQ(faults[0].row_field, "text");
  EXPECT_EQ(faults[1].row, 5);
  EXPECT_EQ(faults[1].row_field, "label");
}

}  // namespace
}  // namespace attune::worker
