#include "client/commands/data_summary.h"

#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sample_versions.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::TuningReport DataReport() { return ClassificationSample(3).report(); }

std::string PrintedSplits(const v1::TuningReport& report) {
  std::ostringstream text;
  Stream out{&text};
  PrintSplits(report.splits(), out);
  PrintLabelBalance(report.splits(), out);
  PrintSamples(report.samples(), out);
  return text.str();
}

TEST(DataSummary, ASplitIsARow) {
  EXPECT_THAT(
      PrintedSplits(DataReport()),
      HasSubstr(
          "SPLIT       ROWS  TOKENS  95 %  MOST  CUT  REPEATED  CONTRADICTORY  "
          "SEEN IN TRAINING\n"
          "train        300      20    38    64    1         2              1  "
          "               -\n"
          "validation    30      20    38    64    0         0              0  "
          "               0\n"
          "test          30      20    38    64    0         0              0  "
          "               1\n"));
}

TEST(DataSummary, AnswersOfAGenerationHaveTokensToo) {
  v1::TuningReport report = DataReport();
  for (v1::SplitSummary& split : *report.mutable_splits()) {
    split.mutable_answer_tokens()->set_max(1234);
  }
  report.mutable_splits(0)->clear_input_tokens();

  const std::string text = PrintedSplits(report);

  EXPECT_THAT(text, HasSubstr("CUT  ANSWER  95 %   MOST  REPEATED"));
  EXPECT_THAT(text, HasSubstr("1,234"));
  EXPECT_THAT(text, HasSubstr("train        300       -     -     -"));
}

TEST(DataSummary, LabelsStandBesideTheirCounts) {
  EXPECT_THAT(PrintedSplits(DataReport()),
              HasSubstr("LABEL             TRAIN  VALIDATION  TEST\n"
                        "card_arrival        100          10    10\n"));
}

TEST(DataSummary, OfManyLabelsTheRarestAreShown) {
  v1::TuningReport report = ClassificationSample(77).report();
  report.mutable_splits(0)->mutable_labels(50)->set_count(3);

  const std::string text = PrintedSplits(report);

  const std::string rarest = report.splits(0).labels(50).label();
  EXPECT_THAT(text, HasSubstr("LABEL"));
  EXPECT_LT(text.find(rarest), text.find("100"));
  EXPECT_THAT(text, HasSubstr("the rarest 20 of 77\n"));
}

TEST(DataSummary, SamplesKeepTheirLinesAndAreHarmless) {
  EXPECT_THAT(PrintedSplits(DataReport()),
              HasSubstr("\ntest row 12, 20 tokens, cut, answer: card_arrival\n"
                        "  | Text: <b>where</b> is it?\n"
                        "  | Label:\uFFFD[31m\n"));
}

TEST(DataSummary, ThePageHasTheSame) {
  const v1::TuningReport report = DataReport();

  const std::string page =
      DataFigures(report.splits(), report.samples()).text();

  EXPECT_THAT(page, HasSubstr("seen in training"));
  EXPECT_THAT(page, HasSubstr("<h3>Balance of the labels</h3>"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;where&lt;/b&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<b>where")));
}

TEST(DataSummary, OfNothingThereIsNothing) {
  EXPECT_EQ(PrintedSplits(v1::TuningReport()), "");
  EXPECT_TRUE(DataFigures({}, {}).empty());
}

}  // namespace
}  // namespace attune::client
