#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/task_program.h"

// Inputs with their nearest demonstrations or with marked spans;
// task_program_test.cc has the others.
namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// 30 times the same digit: 30 tokens.
std::vector<std::string> DigitTexts() {
  std::vector<std::string> texts;
  for (char digit = '1'; digit <= '5'; ++digit) {
    texts.emplace_back(30, digit);
  }
  return texts;
}

// Every text of DigitTexts, answered with `answer`.
TaskSpec WithPool(TaskSpec task, int num_nearest, const std::string& answer) {
  task.set_template_("{{ text }}:");
  for (const std::string& text : DigitTexts()) {
    attune::v1::Demonstration& one = *task.add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_string_value(text);
    one.set_answer(answer);
  }
  task.set_num_nearest_demonstrations(num_nearest);
  return task;
}

TaskSpec LabelPool(int num_nearest) {
  return WithPool(LabelTask({"yes", "no"}), num_nearest, "yes");
}

// The texts of DigitTexts that are nearest to `text`, the nearest last.
std::vector<std::string> NearestTexts(const std::string& text, size_t count,
                                      const std::string& model = "tiny") {
  const std::vector<std::string> pool = DigitTexts();
  const auto loaded = TinyModel(model);
  const auto nearest =
      *NearestDemonstrations::Create(pool, *loaded->tokenizer, *loaded->model);
  const auto places = nearest->Nearest(text, count);
  std::vector<std::string> texts;
  if (!places.ok()) {
    ADD_FAILURE() << places.status();
    return texts;
  }
  for (const size_t place : *places) {
    texts.insert(texts.begin(), pool[place]);
  }
  return texts;
}

std::string FieldsWith(const std::string& text) {
  return nlohmann::json::object({{"text", text}}).dump();
}

std::string DecodedText(const TaskProgram& program, const TaskInput& input) {
  return *program.model().tokenizer->Decode(input.ids,
                                            /*skip_special_tokens=*/false);
}

TEST(NearestInputs, TheNearestDemonstrationStandsLast) {
  const auto program = CompileTask(LabelPool(2));

  const TaskInput input = *program->PrepareInput(FieldsWith("3 and 4"), 1);

  const std::vector<std::string> nearest = NearestTexts("3 and 4", 2);
  EXPECT_EQ(
      DecodedText(*program, input),
      absl::StrCat(nearest[0], ": yes\n\n", nearest[1], ": yes\n\n3 and 4:"));
  EXPECT_EQ(input.num_left_out, 0);
  EXPECT_FALSE(input.truncated);
  EXPECT_FALSE(input.bare_answer);
}

TEST(NearestInputs, OtherInputsGetOtherDemonstrations) {
  const auto program = CompileTask(LabelPool(1));

  const std::string one = DecodedText(
      *program, *program->PrepareInput(FieldsWith(std::string(29, '1')), 1));
  const std::string five = DecodedText(
      *program, *program->PrepareInput(FieldsWith(std::string(29, '5')), 1));

  EXPECT_THAT(one, StartsWith(absl::StrCat(std::string(30, '1'), ": yes")));
  EXPECT_THAT(five, StartsWith(absl::StrCat(std::string(30, '5'), ": yes")));
}

TEST(NearestInputs, AnInputNeverShowsItsOwnAnswer) {
  const auto program = CompileTask(LabelPool(5));
  const std::string own = DigitTexts()[2];

  const TaskInput input = *program->PrepareInput(FieldsWith(own), 1);
  const TaskInput spaced =
      *program->PrepareInput(FieldsWith(absl::StrCat(" ", own, "\n")), 1);

  EXPECT_THAT(DecodedText(*program, input),
              AllOf(Not(HasSubstr(absl::StrCat(own, ": yes"))),
                    EndsWith(absl::StrCat(own, ":")),
                    HasSubstr(absl::StrCat(DigitTexts()[1], ": yes"))));
  EXPECT_THAT(DecodedText(*program, spaced),
              Not(HasSubstr(absl::StrCat(own, ": yes"))));
  EXPECT_EQ(input.num_left_out, 0);
}

TEST(NearestInputs, ALongInputLosesTheFarthestAndNothingOfItself) {
  const auto program = CompileTask(LabelPool(4));
  // With the colon 161 tokens, beside which two demonstrations of some 36 have
  // room in 256.
  const std::string text(160, '7');

  const TaskInput input = *program->PrepareInput(FieldsWith(text), 1);

  const std::vector<std::string> nearest = NearestTexts(text, 2);
  EXPECT_EQ(DecodedText(*program, input),
            absl::StrCat(nearest[0], ": yes\n\n", nearest[1], ": yes\n\n", text,
                         ":"));
  EXPECT_EQ(input.num_left_out, 2);
  EXPECT_FALSE(input.truncated);
  EXPECT_EQ(input.num_whole_tokens, static_cast<int64_t>(input.ids.size()));
}

TEST(NearestInputs, OnlyAnInputWithoutDemonstrationsIsCut) {
  const auto program = CompileTask(LabelPool(4));

  const TaskInput input =
      *program->PrepareInput(FieldsWith(std::string(400, '7')), 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_EQ(input.num_left_out, 4);
  EXPECT_EQ(input.num_whole_tokens, 401);
  EXPECT_THAT(DecodedText(*program, input),
              AllOf(StartsWith("7"), EndsWith("7:"), Not(HasSubstr("yes"))));
}

TEST(NearestInputs, WhatHasNoRoomIsNoReasonToRefuse) {
  TaskSpec task = LabelPool(4);
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_REFUSE);
  const auto program = CompileTask(task);

  EXPECT_OK(program->PrepareInput(FieldsWith(std::string(240, '7')), 1));
  EXPECT_THAT(
      program->PrepareInput(FieldsWith(std::string(400, '7')), 1),
      ReasonIs(Reason::kInputTooLong, AllOf(HasSubstr("401 tokens"),
                                            Not(HasSubstr("demonstrations")))));
}

TEST(NearestInputs, TheirRoomDoesNotDependOnTheRightAnswersLength) {
  const auto program = CompileTask(WithPool(TextTask(100), 5, "no"));

  const TaskInput measured = *program->PrepareInput(FieldsWith("7 7"), 2);
  const TaskInput served = *program->PrepareInput(FieldsWith("7 7"), 100);

  EXPECT_EQ(measured.ids, served.ids);
  EXPECT_LE(served.ids.size(), 156u);
  EXPECT_GT(served.ids.size(), 100u);
  EXPECT_GT(served.num_left_out, 0);
}

TEST(NearestInputs, AGenerationOfAnyLengthLeavesThemHalfOfTheContext) {
  const auto program = CompileTask(WithPool(TextTask(10'000), 2, "no"));

  const TaskInput input = *program->PrepareInput(FieldsWith("7 7"), 2);

  EXPECT_EQ(input.num_left_out, 0);
}

TEST(NearestInputs, AreTurnsOfAChat) {
  TaskSpec task = LabelPool(1);
  task.set_use_chat_template(true);
  const auto program = CompileTask(task);

  const TaskInput input = *program->PrepareInput(FieldsWith("4 4"), 1);

  EXPECT_EQ(DecodedText(*program, input),
            absl::StrCat("<|im_start|>user\n", NearestTexts("4 4", 1)[0],
                         ":<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
                         "<|im_start|>user\n4 4:<|im_end|>\n"
                         "<|im_start|>assistant\n"));
}

TEST(NearestInputs, StandBeforeChoicesAndForEncoderDecodersToo) {
  const auto choice = CompileTask(WithPool(ChoiceTask(), 1, "no"));
  const auto t5 = CompileTask(LabelPool(1), 0, "t5");

  const TaskInput chosen =
      *choice->PrepareInput(R"({"text": "2 2", "choices": ["no", "yes"]})", 1);
  const TaskInput read = *t5->PrepareInput(FieldsWith("2 2"), 1);

  EXPECT_EQ(DecodedText(*choice, chosen),
            absl::StrCat(NearestTexts("2 2", 1)[0], ": no\n\n2 2:"));
  EXPECT_EQ(DecodedText(*t5, read),
            absl::StrCat(NearestTexts("2 2", 1, "t5")[0], ": yes\n\n2 2:"));
}

TEST(NearestInputs, APoolMayBeFarLargerThanTheContext) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}:");
  for (int i = 0; i < 1000; ++i) {
    attune::v1::Demonstration& one = *task.add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_string_value(
        absl::StrCat("it is ", i));
    one.set_answer(i % 2 == 0 ? "yes" : "no");
  }
  task.set_num_nearest_demonstrations(3);
  const auto program = CompileTask(task);

  const TaskInput input = *program->PrepareInput(FieldsWith("it is 17 7"), 1);

  EXPECT_EQ(input.num_left_out, 0);
  EXPECT_GT(program->num_bytes(), size_t{1000} * 32 * 4);
}

TEST(NearestInputs, AFaultOfADemonstrationLeavesTheOthers) {
  TaskSpec task = LabelPool(5);
  task.mutable_demonstrations(1)->set_answer("perhaps");
  std::vector<std::string> faults;

  const auto program = TaskProgram::Compile(
      task, TinyModel(), 0, [&faults](const absl::Status& fault) {
        faults.emplace_back(fault.message());
        return absl::OkStatus();
      });

  ASSERT_OK(program);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_THAT(faults[0], HasSubstr("task.demonstrations[1]"));
  const std::string text =
      DecodedText(**program, *(*program)->PrepareInput(FieldsWith("2 2"), 1));
  EXPECT_THAT(
      text, AllOf(Not(HasSubstr(DigitTexts()[1])), HasSubstr(DigitTexts()[4])));
}

TaskSpec SpanMarkTask() {
  TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ note }} {{ text | mark(E=span) }}:");
  return task;
}

std::string SpanMarkFields(const std::string& note, const std::string& text) {
  return nlohmann::json::object(
             {{"note", note},
              {"text", text},
              {"span", nlohmann::json::object({{"begin", 0}, {"end", 1}})}})
      .dump();
}

TEST(SpanMarks, OtherFieldsAreCutWhereOneIsMarked) {
  const auto program = CompileTask(SpanMarkTask());

  const absl::StatusOr<TaskInput> input = program->PrepareInput(
      SpanMarkFields(std::string(400, '7'), "1 and 2"), 1);

  ASSERT_OK(input);
  EXPECT_TRUE(input->truncated);
  EXPECT_THAT(DecodedText(*program, *input),
              AllOf(StartsWith("7"), EndsWith("7 [E] 1 [/E] and 2:")));
}

TEST(SpanMarks, AMarkedFieldIsNeverCut) {
  TaskSpec right = SpanMarkTask();
  right.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_RIGHT);
  right.mutable_truncation()->set_field("text");
  for (const TaskSpec& task : {SpanMarkTask(), right}) {
    const auto program = CompileTask(task);

    EXPECT_THAT(
        program->PrepareInput(SpanMarkFields("3", std::string(400, '7')), 1),
        ReasonIs(Reason::kInputTooLong,
                 HasSubstr("a field in which the template marks spans is not "
                           "cut")));
  }
}

TEST(SpanMarks, TheWordsOfATaggingMayNotBeMarked) {
  TaskSpec task = TagTask({"O", "B-X"});
  task.set_template_("{{ tokens | mark(E=[0, 30]) }}");
  const auto program = CompileTask(task, 0, "encoder");
  const std::string text(40, 'a');

  EXPECT_THAT(program->PrepareInput(nlohmann::json{{"tokens", text}}.dump(), 0),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("put field 'tokens' into the text once and "
                                 "unchanged")));
}

}  // namespace
}  // namespace attune::worker
