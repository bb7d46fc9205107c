#include "client/commands/report_tables.h"

#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sample_versions.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Tables(const v1::PromptVersion& version) {
  std::ostringstream out;
  Console console{{&out}, {&out}};
  PrintReport(version, console);
  return out.str();
}

TEST(ReportTables, BeginWithWhatWasMeasured) {
  EXPECT_THAT(
      Tables(ClassificationSample(4)),
      StartsWith("version:     prompts/banking77-intent/versions/3\n"
                 "base model:  models/smollm2-135m-instruct\n"
                 "task:        text classification, 4 labels\n"
                 "method:      prompt tuning, 20 rows\n"
                 "data:        datasets/rows, 1,450 rows (1,200 train, 150 "
                 "validation, 100 test)\n"
                 "measured on: 100 rows of test\n"));
}

TEST(ReportTables, PutBaseAndTunedSideBySideWithIntervals) {
  const std::string tables = Tables(ClassificationSample(4));

  EXPECT_THAT(tables,
              HasSubstr("accuracy     38.0% (32.0% to 44.0%)  91.0% (85.0% to "
                        "97.0%)  +53.0 points\n"));
  EXPECT_THAT(tables, HasSubstr("loss         2.310 (1.979 to 2.641)  0.310 "
                                "(0.179 to 0.441)        -2.000\n"));
  EXPECT_THAT(tables, HasSubstr("\nBetter than the base: accuracy +53.0"));
}

TEST(ReportTables, ShowEachLabelBesideTheBase) {
  const std::string tables = Tables(ClassificationSample(4));

  EXPECT_THAT(tables,
              HasSubstr("per label\n"
                        "LABEL             PRECISION  RECALL     F1  SUPPORT  "
                        "BASE F1\n"));
  EXPECT_THAT(tables, Not(HasSubstr("per tag")));
}

TEST(ReportTables, AMatrixOfAFewLabelsIsShownWhole) {
  v1::PromptVersion version = ClassificationSample(2);
  v1::ConfusionMatrix& matrix =
      *version.mutable_report()->mutable_after()->mutable_confusion_matrix();
  for (int i = 0; i < 4; ++i) matrix.set_counts(i, i * 10);

  EXPECT_THAT(Tables(version), HasSubstr("   LABEL              1   2\n"
                                         "1  card_arrival       .  10\n"
                                         "2  transfer_arrival  20  30\n"));
}

TEST(ReportTables, AMatrixOfManyLabelsIsAListOfConfusions) {
  const std::string tables = Tables(ClassificationSample(77));

  EXPECT_THAT(tables, Not(HasSubstr("confusion matrix")));
  EXPECT_THAT(tables, HasSubstr("largest confusions\nRIGHT ANSWER"));
}

TEST(ReportTables, ShowTheCourseOfValidations) {
  v1::PromptVersion version = ClassificationSample(2);
  v1::TuningReport& report = *version.mutable_report();
  EXPECT_THAT(Tables(version), Not(HasSubstr("validations")));
  for (const int step : {19, 38}) {
    v1::ValidationReport& one = *report.add_validations();
    one.set_step(step);
    one.set_epoch(step / 19.0);
    one.mutable_report()->set_loss(step == 19 ? 0.5 : 0.25);
    (*one.mutable_report()->mutable_metrics())["accuracy"] = 0.7;
    v1::ClassReport& label = *one.mutable_report()->add_classes();
    label.set_label(step == 19 ? "other" : "card_arrival");
    label.set_f1(0.8);
  }

  EXPECT_THAT(Tables(version), HasSubstr("validations\n"
                                         "AFTER STEP             19     38\n"
                                         "passes                1.0    2.0\n"
                                         "loss                0.500  0.250\n"
                                         "accuracy            70.0%  70.0%\n"
                                         "f1 of card_arrival      -  80.0%\n"));
}

TEST(ReportTables, TellHowSureTheModelIs) {
  const std::string tables = Tables(ClassificationSample(4));

  EXPECT_THAT(tables, HasSubstr(" SURE  RIGHT  ROWS\n35.5%"));
  EXPECT_THAT(tables, HasSubstr("mean distance of the two: "));
}

TEST(ReportTables, ShowExamplesOnOneLineEach) {
  v1::PromptVersion version = ClassificationSample(4);
  version.mutable_report()->mutable_changed_examples(2)->set_input(
      "two\nlines \x1b[31m");

  const std::string tables = Tables(version);

  EXPECT_THAT(tables, HasSubstr("became right\nROW  RIGHT ANSWER"));
  EXPECT_THAT(tables, HasSubstr("two lines \uFFFD[31m\n"));
}

TEST(ReportTables, ShowWhatTheRowsAreMadeOf) {
  const std::string tables = Tables(ClassificationSample(4));

  EXPECT_THAT(tables, HasSubstr("\ndata\nSPLIT       ROWS"));
  EXPECT_THAT(tables, HasSubstr("LABEL             TRAIN  VALIDATION  TEST\n"));
  EXPECT_THAT(tables, HasSubstr("\ntest row 12, 20 tokens, cut"));
}

TEST(ReportTables, ShowTheTemplatesThatWereTried) {
  v1::PromptVersion version = ClassificationSample(4);
  v1::TemplateCandidate& kept =
      *version.mutable_report()->add_template_candidates();
  kept.set_kept(true);
  kept.set_template_("{{ text }} It was");

  const std::string tables = Tables(version);

  const size_t tried =
      tables.find("\n\ntemplates tried, on validation rows\n      ACCURACY");
  ASSERT_NE(tried, tables.npos);
  EXPECT_LT(tables.find("\ndata\n"), tried);
  EXPECT_THAT(tables.substr(tried),
              HasSubstr("{{ text }} It was\n\ntraining\n"));
}

TEST(ReportTables, EndWithTheTraining) {
  EXPECT_THAT(Tables(ClassificationSample(4)),
              HasSubstr("training\n"
                        "steps:     400\n"
                        "best step: 320\n"
                        "ended by:  early stopping\n"
                        "time:      2m 13s\n"
                        "tokens:    1,234,567\n"
                        "training loss"));
}

TEST(ReportTables, ATaggingHasTypesAndTags) {
  const std::string tables = Tables(TaggingSample());

  EXPECT_THAT(tables, HasSubstr("per type of entity\nLABEL  PRECISION"));
  EXPECT_THAT(tables, HasSubstr("per tag, over words\nLABEL  PRECISION"));
  EXPECT_THAT(tables, Not(HasSubstr("BASE F1")));
  EXPECT_THAT(tables, HasSubstr("Not compared with the base"));
}

TEST(ReportTables, LeaveOutWhatAReportDoesNotHave) {
  const std::string generation = Tables(GenerationSample());
  EXPECT_THAT(generation,
              HasSubstr("loss            -  1.620 (1.420 to 1.820)"));
  for (const char* part : {"per label", "confusion", "SURE", "became", "SPLIT",
                           "templates tried"}) {
    EXPECT_THAT(generation, Not(HasSubstr(part)));
  }

  EXPECT_THAT(Tables(RegressionSample()), HasSubstr("pearson"));
  EXPECT_THAT(Tables(v1::PromptVersion()), Not(HasSubstr("METRIC")));
}

}  // namespace
}  // namespace attune::client
