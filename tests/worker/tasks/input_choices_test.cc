#include "worker/tasks/input_choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ReadChoices, ReadsThemInTheirOrder) {
  EXPECT_THAT(*ReadChoices(json::parse(R"({"c": ["b", "a c", "A c"]})"), "c"),
              ElementsAre("b", "a c", "A c"));
}

TEST(ReadChoices, RefusesWhatIsNoListOfDifferentTexts) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"d": ["a", "b"]})", "is missing"},
      {R"({"c": "a b"})", "must be a list of texts, not string"},
      {R"({"c": []})", "has 0 choices; 2 to 64"},
      {R"({"c": ["a"]})", "has 1 choices; 2 to 64"},
      {R"({"c": ["a", ""]})", "choice 1 (counted from 0) is empty"},
      {R"({"c": [" \n", "a"]})", "choice 0 (counted from 0) is empty"},
      {R"({"c": ["a", 2]})", "choice 1 (counted from 0) is empty or no text"},
      {R"({"c": ["a", "b", "a"]})", "choices 0 and 2 (counted from 0) are"}};
  for (const auto& [fields, words] : cases) {
    EXPECT_THAT(ReadChoices(json::parse(fields), "c"),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("field 'c'"), HasSubstr(words))));
  }
}

TEST(ReadChoices, TakesUpTo64) {
  json fields;
  for (int i = 0; i < 64; ++i) fields["c"].push_back(std::to_string(i));
  EXPECT_EQ(ReadChoices(fields, "c")->size(), 64u);

  fields["c"].push_back("64");

  EXPECT_THAT(ReadChoices(fields, "c"),
              ReasonIs(Reason::kInvalidData, HasSubstr("has 65 choices")));
}

TEST(EncodeChoices, PutsASpaceBeforeThemUnlessTheyStandBare) {
  const Tokenizer& tokenizer = *TinyModel()->tokenizer;
  const std::vector<std::string> texts = {"the", "it is"};
  const auto decoded = [&](bool bare) {
    std::vector<std::string> all;
    const auto encoded = *EncodeChoices(tokenizer, texts, bare);
    for (const std::vector<int64_t>& ids : encoded) {
      all.push_back(*tokenizer.Decode(ids, /*skip_special_tokens=*/false));
    }
    return all;
  };

  EXPECT_THAT(decoded(false), ElementsAre(" the", " it is"));
  EXPECT_THAT(decoded(true), ElementsAre("the", "it is"));
}

TEST(InputChoices, KnowTheirTokensAndPlaces) {
  const InputChoices choices = {.texts = {"a", "b"}, .ids = {{1, 2, 3}, {4}}};

  EXPECT_EQ(choices.num_tokens(), 4);
  EXPECT_EQ(choices.max_tokens(), 3);
  EXPECT_EQ(choices.Find("b"), 1);
  EXPECT_FALSE(choices.Find("c").has_value());
}

TEST(CheckChoiceTokens, NamesChoicesThatTheModelCannotTellApart) {
  EXPECT_OK(
      CheckChoiceTokens({.texts = {"a", "b"}, .ids = {{1}, {1, 2}}}, "c"));
  EXPECT_THAT(
      CheckChoiceTokens({.texts = {"a", "b", "d"}, .ids = {{1}, {2}, {1}}},
                        "c"),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("field 'c'"), HasSubstr("'a' and 'd' become"))));
  EXPECT_THAT(CheckChoiceTokens({.texts = {"a", "b"}, .ids = {{1}, {}}}, "c"),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("field 'c'"), HasSubstr("'b' has no"))));
}

constexpr char kItOrThe[] = R"({"text": "a", "choices": ["it", "the 1"]})";

std::string ChoiceAsRead(const attune::v1::TaskSpec& task, size_t place,
                         const std::string& model = "tiny") {
  const auto program = CompileTask(task, /*num_prompt_rows=*/0, model);
  const absl::StatusOr<TaskInput> input = program->PrepareInput(kItOrThe, 1);
  if (!input.ok()) return input.status().ToString();
  return *program->model().tokenizer->Decode(input->choices.ids[place],
                                             /*skip_special_tokens=*/false);
}

TEST(TaskProgram, ChoicesStandBehindASpaceAsLabelWordsDo) {
  attune::v1::TaskSpec task = ChoiceTask();
  EXPECT_EQ(ChoiceAsRead(task, 1), " the 1");
  EXPECT_EQ(ChoiceAsRead(task, 1, "t5"), "the 1");
  task.set_template_("{{ text }}> ");
  EXPECT_EQ(ChoiceAsRead(task, 1), "the 1");
  task.set_use_chat_template(true);
  EXPECT_EQ(ChoiceAsRead(task, 0), "it");
}

TEST(TaskProgram, TheTemplateMayShowTheChoices) {
  attune::v1::TaskSpec task = ChoiceTask();
  task.set_template_("{{ text }}: {% for c in choices %}({{ c }}){% endfor %}");
  const auto program = CompileTask(task);

  const TaskInput input = *program->PrepareInput(kItOrThe, 1);

  EXPECT_EQ(*program->model().tokenizer->Decode(input.ids, false),
            "a: (it)(the 1)");
}

TEST(TaskProgram, KeepsRoomForTheLongestChoice) {
  const auto program = CompileTask(ChoiceTask(), /*num_prompt_rows=*/100);
  const std::string longest(56, '7');  // a token each
  const json fields = {{"text", std::string(300, '1')},
                       {"choices", {"it", longest}}};

  const absl::StatusOr<TaskInput> input =
      program->PrepareInput(fields.dump(), 1);

  ASSERT_OK(input);
  EXPECT_TRUE(input->truncated);
  EXPECT_LE(
      static_cast<int64_t>(input->ids.size()) + input->choices.max_tokens(),
      256 - 100);
  EXPECT_GE(input->ids.size(), 95u);
}

TEST(TaskProgram, NamesAChoiceThatIsLongerThanTheContext) {
  const json fields = {{"text", "1"},
                       {"choices", {"it", std::string(5000, '7')}}};

  for (const char* model : {"tiny", "t5"}) {
    const auto program = CompileTask(ChoiceTask(), 0, model);
    EXPECT_THAT(program->PrepareInput(fields.dump(), 1),
                ReasonIs(Reason::kInputTooLong, HasSubstr("tokens")))
        << model;
  }
}

TEST(TaskProgram, NamesTheFieldOfChoicesThatIsMissing) {
  attune::v1::TaskSpec task = ChoiceTask();
  task.set_choices_field("endings");
  const auto program = CompileTask(task);

  EXPECT_THAT(
      program->PrepareInput(kItOrThe, 1),
      ReasonIs(Reason::kInvalidData, HasSubstr("field 'endings' with the")));
}

TEST(TaskProgram, RefusesAMultipleChoiceOnAnEncoder) {
  EXPECT_THAT(
      TaskProgram::Compile(ChoiceTask(), TinyModel("encoder"), 0),
      ReasonIs(Reason::kUnsupportedField, HasSubstr("predicts tokens")));
}

}  // namespace
}  // namespace attune::worker
