#include "worker/tasks/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_answer.h"
#include "worker/tasks/task_contract.h"
#include "worker/text/template.h"

namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::attune::v1::TuningData;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TaskSpec Task(const std::vector<std::string>& labels = {}) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  for (const std::string& label : labels) task.add_labels()->set_label(label);
  FillTaskDefaults(task);
  return task;
}

std::string Row(const std::string& text, const std::string& label,
                const std::string& split = "") {
  return absl::StrCat(R"({"text": ")", text, R"(", "label": ")", label, "\"",
                      split.empty() ? "" : ", \"split\": \"" + split + "\"",
                      "}");
}

// `count` rows of each label, without a split.
std::vector<std::string> Rows(int count,
                              const std::vector<std::string>& labels) {
  std::vector<std::string> rows;
  for (const std::string& label : labels) {
    for (int i = 0; i < count; ++i) rows.push_back(Row("t", label));
  }
  return rows;
}

std::vector<std::string> SplitRows() {
  return {Row("a", "x", "train"), Row("b", "y", "train"), Row("c", "x", "dev"),
          Row("d", "y", "test")};
}

std::map<std::string, int> CountAnswers(const std::vector<Example>& split) {
  std::map<std::string, int> counts;
  for (const Example& example : split) ++counts[example.answer];
  return counts;
}

absl::Status ErrorOf(const std::vector<std::string>& rows,
                     TaskSpec task = Task()) {
  return ReadSplits(rows, TuningData(), task).status();
}

TEST(Dataset, KeepsGivenSplits) {
  TaskSpec task = Task();

  const Splits splits = *ReadSplits(SplitRows(), TuningData(), task);

  ASSERT_THAT(splits.train, SizeIs(2));
  ASSERT_THAT(splits.validation, SizeIs(1));
  ASSERT_THAT(splits.test, SizeIs(1));
  EXPECT_EQ(splits.validation[0].row, 3);
  EXPECT_EQ(splits.validation[0].answer, "x");
  EXPECT_EQ(splits.test[0].row, 4);
}

TEST(Dataset, TakesAnswerAndSplitOutOfTheFields) {
  TaskSpec task = Task();

  const Splits splits = *ReadSplits(SplitRows(), TuningData(), task);

  EXPECT_EQ(splits.train[0].fields, R"({"text":"a"})");
}

TEST(Dataset, LabelsComeFromTheTrainingRowsInOrder) {
  TaskSpec task = Task();

  ASSERT_OK(
      ReadSplits(Rows(10, {"top_up", "card", "money"}), TuningData(), task));

  ASSERT_EQ(task.labels_size(), 3);
  EXPECT_EQ(task.labels(0).label(), "card");
  EXPECT_EQ(task.labels(1).label(), "money");
  EXPECT_EQ(task.labels(2).label(), "top_up");
  EXPECT_EQ(task.labels(2).words(0), "top up");
}

TEST(Dataset, DealsOutStratified) {
  TaskSpec task = Task();

  const Splits splits =
      *ReadSplits(Rows(30, {"a", "b", "c"}), TuningData(), task);

  const std::map<std::string, int> three = {{"a", 3}, {"b", 3}, {"c", 3}};
  EXPECT_EQ(CountAnswers(splits.validation), three);
  EXPECT_EQ(CountAnswers(splits.test), three);
  EXPECT_THAT(splits.train, SizeIs(72));
}

TEST(Dataset, SmallLabelsShareTheRest) {
  TaskSpec task = Task();
  std::vector<std::string> labels;
  for (int i = 0; i < 20; ++i) labels.push_back(absl::StrCat("l", i));

  const Splits splits = *ReadSplits(Rows(5, labels), TuningData(), task);

  EXPECT_THAT(splits.validation, SizeIs(10));
  EXPECT_THAT(splits.test, SizeIs(10));
  EXPECT_THAT(CountAnswers(splits.train), SizeIs(20));
}

TEST(Dataset, EveryRowIsInOneSplit) {
  TaskSpec task = Task();

  const Splits splits = *ReadSplits(Rows(20, {"a", "b"}), TuningData(), task);

  std::set<int64_t> rows;
  for (const auto* split : {&splits.train, &splits.validation, &splits.test}) {
    for (const Example& example : *split) rows.insert(example.row);
  }
  EXPECT_THAT(rows, SizeIs(40));
}

TEST(Dataset, FractionsAreTheCallers) {
  TaskSpec task = Task();
  TuningData data;
  data.mutable_fractions()->set_validation(0.25);
  data.mutable_fractions()->set_test(0.5);

  const Splits splits = *ReadSplits(Rows(20, {"a", "b"}), data, task);

  EXPECT_THAT(splits.validation, SizeIs(10));
  EXPECT_THAT(splits.test, SizeIs(20));
  EXPECT_THAT(splits.train, SizeIs(10));
}

TEST(Dataset, TheSeedDecidesTheDealing) {
  const std::vector<std::string> rows = Rows(50, {"a", "b"});
  const auto test_rows = [&](uint64_t seed) {
    TaskSpec task = Task();
    TuningData data;
    data.set_split_seed(seed);
    const Splits splits = *ReadSplits(rows, data, task);
    std::vector<int64_t> numbers;
    for (const Example& example : splits.test) {
      numbers.push_back(example.row);
    }
    return numbers;
  };

  EXPECT_EQ(test_rows(1), test_rows(1));
  EXPECT_NE(test_rows(1), test_rows(2));
}

TEST(Dataset, OnlyMissingSplitsAreDealtOut) {
  TaskSpec task = Task();
  std::vector<std::string> rows = Rows(20, {"a", "b"});
  rows.push_back(Row("t", "a", "test"));

  const Splits splits = *ReadSplits(rows, TuningData(), task);

  EXPECT_THAT(splits.test, SizeIs(1));
  EXPECT_THAT(splits.validation, SizeIs(4));
  EXPECT_THAT(splits.train, SizeIs(36));
}

TEST(Dataset, NamesTheRowThatIsNoObject) {
  EXPECT_THAT(ErrorOf({Row("a", "x"), "[1]"}),
              ReasonIs(Reason::kInvalidData, HasSubstr("row 2")));
  EXPECT_THAT(ErrorOf({"{\"text\": \"\xff\", \"label\": \"x\"}"}),
              ReasonIs(Reason::kInvalidData, HasSubstr("UTF-8")));
}

TEST(Dataset, NamesAMissingAnswer) {
  EXPECT_THAT(ErrorOf({R"({"text": "a"})"}),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("row 1: field 'label' is missing")));
}

TEST(Dataset, AnswersMustBeTexts) {
  EXPECT_THAT(ErrorOf({R"({"text": "a", "label": 3})"}),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("field 'label' must be a text, not number")));
  EXPECT_THAT(ErrorOf({R"({"text": "a", "label": ""})"}),
              ReasonIs(Reason::kInvalidData, HasSubstr("is empty")));
}

TEST(Dataset, NamesAnUnknownSplit) {
  EXPECT_THAT(ErrorOf({Row("a", "x", "training")}),
              ReasonIs(Reason::kInvalidData, HasSubstr("'training'")));
}

TEST(Dataset, NamesALabelThatTheTaskDoesNotHave) {
  EXPECT_THAT(ErrorOf(SplitRows(), Task({"x", "z"})),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("row 2: field 'label': 'y' is not among the "
                                 "task's labels")));
}

TEST(Dataset, NamesATestLabelThatTrainingDoesNotHave) {
  std::vector<std::string> rows = SplitRows();
  rows.push_back(Row("e", "new", "test"));

  EXPECT_THAT(ErrorOf(rows),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("row 5: field 'label': 'new' is not among the "
                                 "labels of the training rows")));
}

TEST(Dataset, RefusesOneClass) {
  EXPECT_THAT(ErrorOf(Rows(20, {"only"})),
              ReasonIs(Reason::kInvalidData, HasSubstr("'only'")));
}

TEST(Dataset, RefusesEmptySplits) {
  EXPECT_THAT(ErrorOf({}), ReasonIs(Reason::kInvalidData,
                                    HasSubstr("train split has no rows")));
  EXPECT_THAT(ErrorOf(Rows(1, {"a", "b"})),
              ReasonIs(Reason::kInvalidData, HasSubstr("split has no rows")));
}

TEST(Dataset, FractionsHaveDefaults) {
  TuningData data;
  data.mutable_fractions()->set_test(0.25);

  FillDataDefaults(data);

  EXPECT_DOUBLE_EQ(data.fractions().validation(), 0.1);
  EXPECT_DOUBLE_EQ(data.fractions().test(), 0.25);
}

TaskSpec TaggingTask(const std::vector<std::string>& tags = {}) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION);
  for (const std::string& tag : tags) task.add_labels()->set_label(tag);
  FillTaskDefaults(task);
  return task;
}

std::vector<std::string> TaggedRows() {
  return {R"({"tokens": ["a", "b"], "tags": ["B-X", "I-X"], "split": "train"})",
          R"({"tokens": ["a"], "tags": ["B-Y"], "split": "dev"})",
          R"({"tokens": ["a"], "tags": ["B-Z"], "split": "test"})"};
}

TEST(Dataset, ReadsTagsAndFindsThemInAllSplits) {
  TaskSpec task = TaggingTask();

  const auto splits = ReadSplits(TaggedRows(), TuningData(), task);

  ASSERT_OK(splits);
  EXPECT_EQ(splits->train[0].fields, R"({"tokens":["a","b"]})");
  EXPECT_THAT(SplitTags(splits->train[0].answer),
              testing::ElementsAre("B-X", "I-X"));
  std::vector<std::string> tags;
  for (const auto& label : task.labels()) {
    tags.push_back(label.label());
    EXPECT_THAT(label.words(), testing::IsEmpty());
  }
  EXPECT_THAT(tags, testing::ElementsAre("B-X", "B-Y", "B-Z", "I-X", "O"));
}

TEST(Dataset, NamesATagThatTheTaskDoesNotHave) {
  TaskSpec task = TaggingTask({"O", "B-X", "I-X", "B-Z"});

  EXPECT_THAT(ReadSplits(TaggedRows(), TuningData(), task),
              ReasonIs(Reason::kInvalidData,
                       testing::AllOf(HasSubstr("row 2"), HasSubstr("'B-Y'"))));
}

TEST(Dataset, NamesTheRowWhoseTagsAreNone) {
  for (const char* tags : {R"(["B-X", "LOC"])", R"(["B-"])", R"([5])",
                           R"(["B-X Y"])", R"("O")", R"([""])"}) {
    std::vector<std::string> rows = TaggedRows();
    rows[1] = absl::StrCat(R"({"tokens": ["a"], "tags": )", tags, "}");
    TaskSpec task = TaggingTask();

    EXPECT_THAT(
        ReadSplits(rows, TuningData(), task),
        ReasonIs(Reason::kInvalidData,
                 testing::AllOf(HasSubstr("row 2"), HasSubstr("'tags'"))))
        << tags;
  }
}

TEST(Dataset, RefusesTagsThatAreAllOutside) {
  std::vector<std::string> rows;
  for (const char* split : {"train", "dev", "test"}) {
    rows.push_back(absl::StrCat(
        R"({"tokens": ["a"], "tags": ["O"], "split": ")", split, "\"}"));
  }
  TaskSpec task = TaggingTask();

  EXPECT_THAT(ReadSplits(rows, TuningData(), task),
              ReasonIs(Reason::kInvalidData, HasSubstr("nothing to learn")));
}

TEST(Dataset, ReadsAnyNumberOfLabels) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_multi_label(true);
  FillTaskDefaults(task);
  const std::vector<std::string> rows = {
      R"({"text": "a", "labels": ["y", "x", "y"], "split": "train"})",
      R"({"text": "b", "labels": [], "split": "dev"})",
      R"({"text": "c", "labels": ["z"], "split": "test"})"};

  const auto splits = ReadSplits(rows, TuningData(), task);

  ASSERT_OK(splits);
  EXPECT_THAT(SplitLabels(splits->train[0].answer),
              testing::ElementsAre("x", "y"));
  EXPECT_THAT(SplitLabels(splits->validation[0].answer), testing::IsEmpty());
  EXPECT_EQ(task.labels_size(), 3);
}

TEST(Dataset, NamesTheRowWithoutAListOfLabels) {
  for (const char* labels : {R"("x")", "[5]", R"([""])", "null"}) {
    TaskSpec task;
    task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
    task.set_multi_label(true);
    FillTaskDefaults(task);

    EXPECT_THAT(
        ReadSplits(std::vector<std::string>{absl::StrCat(
                       R"({"text": "a", "labels": )", labels, "}")},
                   TuningData(), task),
        ReasonIs(Reason::kInvalidData,
                 testing::AllOf(HasSubstr("row 1"), HasSubstr("'labels'"))))
        << labels;
  }
}

TaskSpec NumberTask() {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_REGRESSION);
  FillTaskDefaults(task);
  return task;
}

TEST(Dataset, ReadsNumbersAndMeasuresThem) {
  TaskSpec task = NumberTask();
  const std::vector<std::string> rows = {
      R"({"text": "a", "value": 1, "split": "train"})",
      R"({"text": "b", "value": "5", "split": "train"})",
      R"({"text": "c", "value": -2.5, "split": "dev"})",
      R"({"text": "d", "value": 1e2, "split": "test"})"};

  const auto splits = ReadSplits(rows, TuningData(), task);

  ASSERT_OK(splits);
  EXPECT_DOUBLE_EQ(NumberOf(splits->train[1].answer), 5);
  EXPECT_DOUBLE_EQ(NumberOf(splits->validation[0].answer), -2.5);
  EXPECT_DOUBLE_EQ(task.number_scale().mean(), 3);
  EXPECT_DOUBLE_EQ(task.number_scale().deviation(), 2);
}

TEST(Dataset, NamesTheRowWithoutANumber) {
  for (const char* value : {R"("many")", "[1]", "null", R"("")", R"("nan")"}) {
    TaskSpec task = NumberTask();

    EXPECT_THAT(
        ReadSplits(std::vector<std::string>{absl::StrCat(
                       R"({"text": "a", "value": )", value, "}")},
                   TuningData(), task),
        ReasonIs(Reason::kInvalidData,
                 testing::AllOf(HasSubstr("row 1"), HasSubstr("'value'"))))
        << value;
  }
}

TEST(Dataset, RefusesNumbersThatAreAllTheSame) {
  TaskSpec task = NumberTask();
  std::vector<std::string> rows;
  for (const char* split : {"train", "train", "dev", "test"}) {
    rows.push_back(
        absl::StrCat(R"({"text": "a", "value": 3, "split": ")", split, "\"}"));
  }

  EXPECT_THAT(ReadSplits(rows, TuningData(), task),
              ReasonIs(Reason::kInvalidData, HasSubstr("nothing to learn")));
}

TEST(Dataset, GenerationsAreNotStratified) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  FillTaskDefaults(task);
  std::vector<std::string> rows;
  for (int i = 0; i < 20; ++i) {
    rows.push_back(
        absl::StrCat(R"({"text": "t", "target": "answer )", i, "\"}"));
  }

  const Splits splits = *ReadSplits(rows, TuningData(), task);

  EXPECT_THAT(splits.test, SizeIs(2));
  EXPECT_THAT(splits.validation, SizeIs(2));
  EXPECT_EQ(task.labels_size(), 0);
}

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(ReadSplits, TheExamplesOfChoicesFitTheirTask) {
  TaskSpec task = ChoiceTask();
  task.set_template_(
      "{{ premise }}{% if asks == 'cause' %} because{% else %}, so{% endif %}");
  FillTaskDefaults(task);
  TuningData data;

  const auto splits = ReadSplits(
      LinesOf("client/examples/what-follows/rows.jsonl"), data, task);

  ASSERT_OK(splits);
  EXPECT_EQ(splits->train.size(), 92u);
  EXPECT_EQ(splits->test.size(), 32u);
  const auto program = CompileTask(task);
  for (const auto* split :
       {&splits->train, &splits->validation, &splits->test}) {
    EXPECT_OK(PrepareExamples(*program, *split));
  }
}

TEST(ReadSplits, TheExamplesOfRelationsMarkTheirSpans) {
  TaskSpec task = LabelTask({});
  task.set_template_("{{ text | mark(E1=subject, E2=object) }}");
  FillTaskDefaults(task);
  TuningData data;

  const auto splits = ReadSplits(
      LinesOf("client/examples/person-relations/rows.jsonl"), data, task);

  ASSERT_OK(splits);
  EXPECT_EQ(task.labels_size(), 5);
  const auto text = Template::Compile(task.template_());
  ASSERT_OK(text);
  for (const auto* split :
       {&splits->train, &splits->validation, &splits->test}) {
    for (const Example& one : *split) {
      const auto marked = (*text)->Render(one.fields);
      ASSERT_OK(marked);
      // Names: no white space or punctuation at their ends.
      EXPECT_THAT(*marked,
                  ContainsRegex("\\[E1\\] [A-Z][^].;]*[a-z] \\[/E1\\]"));
      EXPECT_THAT(*marked,
                  ContainsRegex("\\[E2\\] [A-Z][^].;]*[a-z] \\[/E2\\]"));
    }
  }
}

// Reads rows, letting every fault pass.
struct Collected {
  Splits splits;
  std::vector<std::string> faults;
};

Collected Collect(const std::vector<std::string>& rows, TaskSpec task) {
  Collected collected;
  absl::StatusOr<Splits> splits = ReadSplits(
      rows, TuningData(), task, [&collected](const absl::Status& fault) {
        collected.faults.emplace_back(fault.message());
        return absl::OkStatus();
      });
  EXPECT_OK(splits);
  if (splits.ok()) collected.splits = *std::move(splits);
  return collected;
}

TEST(Dataset, FaultsThatMayPassLeaveTheSoundRows) {
  std::vector<std::string> rows = Rows(10, {"x", "y"});
  rows[1] = "oops";
  rows[4] = R"({"label": 1, "split": "tset"})";
  rows[7] = Row("t", "z");

  const Collected collected = Collect(rows, Task({"x", "y"}));

  // The fifth row has two faults.
  ASSERT_THAT(collected.faults, SizeIs(4));
  EXPECT_THAT(collected.faults[0], HasSubstr("row 2: "));
  EXPECT_THAT(collected.faults[1], HasSubstr("row 5: field 'label'"));
  EXPECT_THAT(collected.faults[2], HasSubstr("row 5: field 'split'"));
  EXPECT_THAT(collected.faults[3], HasSubstr("row 8: field 'label': 'z'"));
  EXPECT_EQ(collected.splits.train.size() + collected.splits.validation.size() +
                collected.splits.test.size(),
            17u);
}

TEST(Dataset, RowsThatWereLeftOutMayBeAllThatIsMissing) {
  EXPECT_THAT(Collect({"oops", Row("t", "x")}, Task()).faults, SizeIs(1));
  EXPECT_THAT(Collect({Row("t", "x")}, Task()).faults, SizeIs(3));
  EXPECT_THAT(Collect({}, Task()).faults, SizeIs(3));
}

TEST(Dataset, AHandlersErrorEndsTheReading) {
  TaskSpec task = Task();

  EXPECT_THAT(
      ReadSplits(std::vector<std::string>{"oops", "oops"}, TuningData(), task,
                 [](const absl::Status&) {
                   return MakeError(Reason::kCancelled, "enough");
                 }),
      ReasonIs(Reason::kCancelled, "enough"));
}

}  // namespace
}  // namespace attune::worker
