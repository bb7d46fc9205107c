#include "worker/tasks/row_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

attune::v1::TaskSpec TaskOfType(attune::v1::TaskType type,
                                bool multi_label = false) {
  attune::v1::TaskSpec task;
  task.set_type(type);
  task.set_multi_label(multi_label);
  FillTaskDefaults(task);
  return task;
}

// The answer of a row, and what is left of it.
std::string Taken(const attune::v1::TaskSpec& task, const std::string& row,
                  std::string* left = nullptr) {
  json fields = json::parse(row);
  const absl::StatusOr<RowAnswer> answer = TakeAnswer(fields, task, 4);
  if (left != nullptr) *left = fields.dump();
  return answer.ok() ? answer->text : std::string(answer.status().message());
}

TEST(TakeAnswer, LeavesTheOtherFields) {
  std::string left;

  EXPECT_EQ(Taken(TaskOfType(attune::v1::TASK_TYPE_TEXT_GENERATION),
                  R"({"text": "a", "target": " b"})", &left),
            " b");
  EXPECT_EQ(left, R"({"text":"a"})");
}

TEST(TakeAnswer, WritesEveryFormAsOneText) {
  EXPECT_EQ(Taken(TaskOfType(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION),
                  R"({"label": "x y"})"),
            "x y");
  EXPECT_EQ(Taken(TaskOfType(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION),
                  R"({"tags": ["O", "B-X"]})"),
            "O B-X");
  EXPECT_EQ(Taken(TaskOfType(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION, true),
                  R"({"labels": ["y", "x", "y"]})"),
            R"(["x","y"])");
  EXPECT_EQ(NumberOf(Taken(TaskOfType(attune::v1::TASK_TYPE_REGRESSION),
                           R"({"value": "1e3"})")),
            1000);
  const attune::v1::TaskSpec choice =
      TaskOfType(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  for (const char* label : {"1", "1.0", R"("b c")"}) {
    EXPECT_EQ(Taken(choice, absl::StrCat(R"({"choices": ["a", "b c"], )",
                                         R"("label": )", label, "}")),
              "b c");
  }
}

TEST(TakeAnswer, FindsTheAnswersOfAContext) {
  const attune::v1::TaskSpec task =
      TaskOfType(attune::v1::TASK_TYPE_EXTRACTIVE_QA);
  std::string left;

  const std::string answer =
      Taken(task,
            R"({"context": "é in Rome, in Rome", "answers": ["Rome", "in Rome"],
          "answer_starts": [14, 2]})",
            &left);

  EXPECT_THAT(SpansOf(answer),
              testing::ElementsAre(ContextSpan{15, 19}, ContextSpan{3, 10}));
  EXPECT_EQ(left, R"({"context":"é in Rome, in Rome"})");
  EXPECT_THAT(SpansOf(Taken(task, R"({"context": "a b", "answers": "b"})")),
              testing::ElementsAre(ContextSpan{2, 3}));
  EXPECT_THAT(SpansOf(Taken(task, R"({"context": "a b ", "answers": [" b "],
                                      "answer_starts": [1]})")),
              testing::ElementsAre(ContextSpan{2, 3}));
  EXPECT_THAT(SpansOf(Taken(task, R"({"context": "a b", "answers": []})")),
              testing::IsEmpty());
}

TEST(TakeAnswer, NamesAnswersThatDoNotStandInTheContext) {
  const attune::v1::TaskSpec task =
      TaskOfType(attune::v1::TASK_TYPE_EXTRACTIVE_QA);

  EXPECT_THAT(
      Taken(task, R"({"context": "a b", "answers": ["c"]})"),
      AllOf(HasSubstr("row 4"), HasSubstr("answer 'c' does not stand")));
  EXPECT_THAT(Taken(task, R"({"context": "a b", "answers": ["b"],
                              "answer_starts": [1]})"),
              HasSubstr("at character 1"));
  EXPECT_THAT(Taken(task, R"({"context": "a b", "answers": ["b"],
                              "answer_starts": [1e300]})"),
              HasSubstr("'answer_starts'"));
  EXPECT_THAT(Taken(task, R"({"context": "a b", "answers": ["b"],
                              "answer_starts": []})"),
              HasSubstr("as many numbers"));
  for (const char* place : {"1.5", "-1", "-0.5", "\"1\""}) {
    EXPECT_THAT(Taken(task, absl::StrCat(
                                R"({"context": "a b", "answers": ["b"],
                                    "answer_starts": [)",
                                place, "]}")),
                HasSubstr("must be a list of whole numbers"));
  }
  EXPECT_THAT(Taken(task, R"({"context": "a b"})"),
              HasSubstr("'answers' is missing"));
  for (const char* empty : {"", " "}) {
    EXPECT_THAT(Taken(task, absl::StrCat(R"({"context": "a b", "answers": [")",
                                         empty, R"("]})")),
                HasSubstr("is empty"));
  }
  EXPECT_THAT(Taken(task, R"({"answers": ["b"]})"), HasSubstr("'context'"));
}

TEST(TakeAnswer, NamesRowAndField) {
  EXPECT_THAT(Taken(TaskOfType(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION),
                    R"({"text": "a"})"),
              AllOf(HasSubstr("row 4"), HasSubstr("'label' is missing")));
  EXPECT_THAT(Taken(TaskOfType(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION),
                    R"({"label": 3})"),
              HasSubstr("'label' must be a text, not number"));
  EXPECT_THAT(Taken(TaskOfType(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION),
                    R"({"tags": ["O", "LOC"]})"),
              HasSubstr("\"LOC\" is no tag"));
}

TEST(TakeAnswer, TakesAllRightTextsOfAGeneration) {
  const attune::v1::TaskSpec task =
      TaskOfType(attune::v1::TASK_TYPE_TEXT_GENERATION);
  json fields = json::parse(R"({"text": "a", "target": ["b", "c", "b"]})");

  const absl::StatusOr<RowAnswer> answer = TakeAnswer(fields, task, 4);

  ASSERT_OK(answer);
  EXPECT_EQ(answer->text, "b");
  EXPECT_THAT(answer->others, testing::ElementsAre("c", "b"));
  EXPECT_EQ(fields.dump(), R"({"text":"a"})");
}

TEST(TakeAnswer, OtherTasksHaveOneAnswer) {
  json fields = json::parse(R"({"label": "b"})");

  const absl::StatusOr<RowAnswer> answer = TakeAnswer(
      fields, TaskOfType(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION), 4);

  ASSERT_OK(answer);
  EXPECT_EQ(answer->text, "b");
  EXPECT_TRUE(answer->others.empty());
}

TEST(TakeAnswer, NamesRowAndFieldOfTextsThatAreNoAnswer) {
  std::string many = R"({"target": ["a")";
  for (size_t i = 0; i < kMaxRightTexts; ++i) many += R"(, "a")";
  many += "]}";
  const std::pair<std::string, const char*> cases[] = {
      {R"({"target": 3})",
       "row 4: field 'target' must be a text or a list of texts, not number"},
      {R"({"target": ["a", 3]})", "must be a text or a list of texts"},
      {R"({"target": []})", "row 4: field 'target' has 0 right answers"},
      {many, "row 4: field 'target' has 65 right answers; 1 to 64 are allowed"},
      {R"({"target": ["a", ""]})",
       "row 4: field 'target': one of its right answers is empty"},
      {R"({"target": ""})", "row 4: field 'target' is empty"},
      {R"({})", "row 4: field 'target' is missing"}};
  for (const auto& [row, message] : cases) {
    json fields = json::parse(row);
    const absl::StatusOr<RowAnswer> answer = TakeAnswer(
        fields, TaskOfType(attune::v1::TASK_TYPE_TEXT_GENERATION), 4);
    EXPECT_THAT(std::string(answer.status().message()), HasSubstr(message));
  }
}

TEST(TakeAnswer, LeavesTheChoicesToTheTemplate) {
  std::string left;

  Taken(TaskOfType(attune::v1::TASK_TYPE_MULTIPLE_CHOICE),
        R"({"choices": ["a", "b"], "label": 0})", &left);

  EXPECT_EQ(left, R"({"choices":["a","b"]})");
}

TEST(TakeAnswer, NamesRowAndFieldOfAChoiceThatIsNone) {
  attune::v1::TaskSpec task = TaskOfType(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  const std::pair<const char*, const char*> cases[] = {
      {R"({"label": 0})", "row 4: field 'choices' with the choices is missing"},
      {R"({"choices": ["a"], "label": 0})",
       "row 4: field 'choices' has 1 choices"},
      {R"({"choices": ["a", "b"]})", "row 4: field 'label' is missing"},
      {R"({"choices": ["a", "b"], "label": 2})",
       "row 4: field 'label' is 2; 2 choices have the places 0 to 1"},
      {R"({"choices": ["a", "b"], "label": -1})",
       "row 4: field 'label' is -1; 2 choices have the places 0 to 1"},
      {R"({"choices": ["a", "b"], "label": 0.5})",
       "row 4: field 'label' is 0.5; 2 choices have the places 0 to 1"},
      {R"({"choices": ["a", "b"], "label": "c"})",
       "row 4: field 'label': 'c' is none of the choices in field 'choices'"},
      {R"({"choices": ["a", "b"], "label": true})",
       "row 4: field 'label' must be the right choice's place or its text, "
       "not boolean"}};
  for (const auto& [row, message] : cases) {
    EXPECT_THAT(Taken(task, row), HasSubstr(message));
  }
}

}  // namespace
}  // namespace attune::worker
