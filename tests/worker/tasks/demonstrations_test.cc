#include "worker/tasks/demonstrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using attune::v1::Demonstration;
using attune::v1::HardPrompt;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Texts "0", "1", ... of which every fifth is a "no".
std::vector<Example> MostlyYes(int count) {
  std::vector<Example> rows;
  for (int i = 0; i < count; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": ")", i, "\"}"),
                    .answer = i % 5 == 4 ? "no" : "yes"});
  }
  return rows;
}

// Of the context's 256 tokens every row takes about ten.
std::unique_ptr<const TaskProgram> ShortProgram() {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}:");
  return CompileTask(task);
}

HardPrompt Method(int count, HardPrompt::Selection selection) {
  HardPrompt method;
  method.set_num_demonstrations(count);
  method.set_selection(selection);
  return method;
}

std::vector<Demonstration> Chosen(const std::vector<Example>& rows,
                                  const HardPrompt& method, uint64_t seed = 0) {
  const auto program = ShortProgram();
  auto chosen = ChooseDemonstrations(*program, rows, method, seed);
  EXPECT_OK(chosen);
  return *std::move(chosen);
}

std::string TextOf(const Demonstration& one) {
  return one.fields().fields().at("text").string_value();
}

std::vector<std::string> TextsOf(const std::vector<Demonstration>& all) {
  std::vector<std::string> texts;
  for (const Demonstration& one : all) texts.push_back(TextOf(one));
  return texts;
}

TEST(ChooseDemonstrations, ABalancedChoiceHasAsManyOfEveryLabel) {
  const auto chosen =
      Chosen(MostlyYes(50), Method(7, HardPrompt::SELECTION_BALANCED));

  std::map<std::string, int> counts;
  for (const Demonstration& one : chosen) ++counts[one.answer()];
  EXPECT_THAT(chosen, SizeIs(7));
  EXPECT_GE(counts["no"], 3);
  EXPECT_GE(counts["yes"], 3);
}

TEST(ChooseDemonstrations, ARandomChoiceIsAsTheRowsAre) {
  int no = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    for (const Demonstration& one :
         Chosen(MostlyYes(50), Method(5, HardPrompt::SELECTION_RANDOM), seed)) {
      no += one.answer() == "no" ? 1 : 0;
    }
  }

  // One fifth of 200; three standard deviations are 17.
  EXPECT_GT(no, 23);
  EXPECT_LT(no, 57);
}

TEST(ChooseDemonstrations, TakesEveryRowOnceAndWithItsAnswer) {
  const auto chosen =
      Chosen(MostlyYes(10), Method(20, HardPrompt::SELECTION_BALANCED));

  std::set<std::string> texts;
  for (const Demonstration& one : chosen) {
    texts.insert(TextOf(one));
    EXPECT_EQ(one.answer(), std::stoi(TextOf(one)) % 5 == 4 ? "no" : "yes");
  }
  EXPECT_THAT(chosen, SizeIs(10));
  EXPECT_THAT(texts, SizeIs(10));
}

TEST(ChooseDemonstrations, TheSeedDecides) {
  const HardPrompt method = Method(4, HardPrompt::SELECTION_BALANCED);

  EXPECT_EQ(TextsOf(Chosen(MostlyYes(50), method, 1)),
            TextsOf(Chosen(MostlyYes(50), method, 1)));
  EXPECT_NE(TextsOf(Chosen(MostlyYes(50), method, 1)),
            TextsOf(Chosen(MostlyYes(50), method, 2)));
}

TEST(ChooseDemonstrations, LabelsDoNotStandInTurns) {
  std::set<std::vector<std::string>> orders;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::vector<std::string> answers;
    for (const Demonstration& one : Chosen(
             MostlyYes(50), Method(4, HardPrompt::SELECTION_BALANCED), seed)) {
      answers.push_back(one.answer());
    }
    orders.insert(answers);
  }

  EXPECT_GT(orders.size(), 2u);
}

TEST(ChooseDemonstrations, LeavesHalfOfTheContextToTheInput) {
  const auto program = ShortProgram();
  const auto chosen =
      Chosen(MostlyYes(200), Method(200, HardPrompt::SELECTION_BALANCED));

  int64_t tokens = 0;
  for (const Demonstration& one : chosen) {
    tokens += *program->CountDemonstrationTokens(one);
  }
  EXPECT_LE(tokens, program->InputLimit(1) / 2);
  EXPECT_GT(tokens, program->InputLimit(1) / 3);
}

TEST(ChooseDemonstrations, PassesOverARowThatIsTooLong) {
  std::vector<Example> rows = MostlyYes(4);
  for (int i = 0; i < 3; ++i) {
    rows[i].fields =
        absl::StrCat(R"({"text": ")", std::string(300, '7'), "\"}");
  }

  const auto chosen = Chosen(rows, Method(2, HardPrompt::SELECTION_RANDOM));

  EXPECT_THAT(TextsOf(chosen), testing::ElementsAre("3"));
}

TEST(ChooseDemonstrations, LeavesHalfOfTheContextInAChatToo) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}:");
  task.set_use_chat_template(true);
  const auto bare = CompileTask(task);

  const auto chosen = ChooseDemonstrations(
      *bare, MostlyYes(200), Method(200, HardPrompt::SELECTION_BALANCED), 0);

  ASSERT_OK(chosen);
  EXPECT_GT(chosen->size(), 1u);
  for (const Demonstration& one : *chosen) *task.add_demonstrations() = one;
  const auto program = CompileTask(task);
  const std::string fields = R"({"text": "a"})";
  const size_t added = program->PrepareInput(fields, 1)->ids.size() -
                       bare->PrepareInput(fields, 1)->ids.size();
  EXPECT_LE(static_cast<int64_t>(added), bare->InputLimit(1) / 2);
}

TEST(ChooseDemonstrations, KeepsOnlyWhatTheTemplateReads) {
  std::vector<Example> rows = MostlyYes(2);
  for (Example& row : rows) {
    row.fields = absl::StrCat(R"({"text": "a", "html": ")",
                              std::string(2 << 20, 'x'), "\"}");
  }

  const auto chosen = Chosen(rows, Method(2, HardPrompt::SELECTION_RANDOM));

  ASSERT_THAT(chosen, SizeIs(2));
  EXPECT_EQ(chosen[0].fields().fields().size(), 1u);
  EXPECT_EQ(TextOf(chosen[0]), "a");
}

TEST(ChooseDemonstrations, AmongTheNearestIsEveryQuestionOnceInTheirOrder) {
  std::vector<Example> rows = MostlyYes(12);
  rows[4].fields = R"({"text": " 1 ", "other": 7})";
  rows[11].fields = R"({"text": "3"})";

  const auto chosen =
      Chosen(rows, Method(2, HardPrompt::SELECTION_NEAREST), /*seed=*/7);

  EXPECT_THAT(TextsOf(chosen), testing::ElementsAre("0", "1", "2", "3", "5",
                                                    "6", "7", "8", "9", "10"));
  EXPECT_EQ(chosen[1].answer(), "yes");
}

TEST(ChooseDemonstrations, WhereATaskCannotListAllTheSeedDraws) {
  const std::vector<Example> rows = MostlyYes(4200);
  const HardPrompt method = Method(2, HardPrompt::SELECTION_NEAREST);

  const std::vector<std::string> first = TextsOf(Chosen(rows, method, 1));

  EXPECT_THAT(first, SizeIs(4096));
  EXPECT_EQ(first, TextsOf(Chosen(rows, method, 1)));
  EXPECT_NE(first, TextsOf(Chosen(rows, method, 2)));
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end(),
                             [](const std::string& a, const std::string& b) {
                               return std::stoi(a) < std::stoi(b);
                             }));
}

TEST(ChooseDemonstrations, TheNearestAreLookedForInOneMebibyte) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}{{ html | length }}:");
  const auto program = CompileTask(task);
  std::vector<Example> rows = MostlyYes(600);
  for (Example& row : rows) {
    row.fields.insert(
        1, absl::StrCat(R"("html": ")", std::string(2000, 'x'), R"(", )"));
  }

  const auto chosen = ChooseDemonstrations(
      *program, rows, Method(2, HardPrompt::SELECTION_NEAREST), /*seed=*/0);

  ASSERT_OK(chosen);
  size_t bytes = 0;
  for (const Demonstration& one : *chosen) bytes += one.ByteSizeLong();
  EXPECT_LE(bytes, size_t{1} << 20);
  EXPECT_GT(bytes, (size_t{1} << 20) - 2100);
}

TEST(ChooseDemonstrations, NoneOfTheNearestTakesMoreThanHalfOfTheContext) {
  std::vector<Example> rows = MostlyYes(4);
  rows[1].fields = absl::StrCat(R"({"text": ")", std::string(130, '7'), "\"}");

  const auto chosen = Chosen(rows, Method(2, HardPrompt::SELECTION_NEAREST));

  EXPECT_THAT(TextsOf(chosen), testing::ElementsAre("0", "2", "3"));
}

TEST(ChooseDemonstrations, NamesARowThatCannotBeRendered) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  std::vector<Example> rows = MostlyYes(1);
  rows[0].fields = R"({"other": "a"})";

  EXPECT_THAT(ChooseDemonstrations(*program, rows,
                                   Method(1, HardPrompt::SELECTION_RANDOM), 0),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("row 1")));
}

TEST(ChooseDemonstrations, ShowsTheTextOfTheRightChoice) {
  const auto program = CompileTask(ChoiceTask());
  std::vector<Example> rows;
  for (int i = 0; i < 4; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = R"({"text": "a", "choices": ["it", "the 1"]})",
                    .answer = "the 1"});
  }

  const auto chosen = *ChooseDemonstrations(
      *program, rows, Method(2, HardPrompt::SELECTION_RANDOM), /*seed=*/0);

  ASSERT_EQ(chosen.size(), 2u);
  EXPECT_EQ(chosen[0].answer(), "the 1");
  attune::v1::TaskSpec shown = ChoiceTask();
  *shown.add_demonstrations() = chosen[0];
  const auto showing = CompileTask(shown);
  const TaskInput input =
      *showing->PrepareInput(R"({"text": "b", "choices": ["x", "y"]})", 1);
  EXPECT_EQ(*showing->model().tokenizer->Decode(input.ids, false),
            "a: the 1\n\nb:");
}

}  // namespace
}  // namespace attune::worker
