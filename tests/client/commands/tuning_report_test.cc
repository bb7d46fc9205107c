#include "client/commands/tuning_report.h"

#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class TuningReportTest : public testing::Test {
 protected:
  TuningReportTest() {
    report_.mutable_before()->set_loss(2.31);
    (*report_.mutable_before()->mutable_metrics())["accuracy"] = 0.0867;
    v1::EvaluationReport& after = *report_.mutable_after();
    after.set_split("test");
    after.set_num_rows(150);
    after.set_loss(0.31);
    (*after.mutable_metrics())["accuracy"] = 0.9133;
    (*after.mutable_metrics())["macro_f1"] = 0.91;
    report_.set_num_steps(150);
    report_.set_best_step(120);
  }

  v1::TuningReport report_;
  std::ostringstream out_;
  Console console_{{&out_}, {&out_}};
};

TEST_F(TuningReportTest, PutsBeforeAndAfterSideBySide) {
  PrintTuningReport(report_, console_);

  EXPECT_EQ(out_.str(),
            "METRIC    BEFORE  AFTER        CHANGE\n"
            "accuracy    8.7%  91.3%  +82.7 points\n"
            "loss       2.310  0.310        -2.000\n"
            "macro_f1       -  91.0%             -\n"
            "on 150 rows of test, after 150 steps (best: step 120)\n");
}

TEST_F(TuningReportTest, SaysThatNothingWasTrained) {
  report_.set_stop_reason(v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN);

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(), HasSubstr("on 150 rows of test, nothing trained\n"));
}

TEST_F(TuningReportTest, WithoutABaselineShowsTheTunedOneOnly) {
  report_.clear_before();

  PrintTuningReport(report_, console_);

  EXPECT_EQ(out_.str(),
            "METRIC    TUNED\n"
            "accuracy  91.3%\n"
            "loss      0.310\n"
            "macro_f1  91.0%\n"
            "on 150 rows of test, after 150 steps (best: step 120)\n");
}

TEST_F(TuningReportTest, ShowsHowTrainingWent) {
  const auto add = [&](const std::string& name, std::vector<double> values) {
    v1::TrainingSeries& series = *report_.add_series();
    series.set_name(name);
    for (size_t i = 0; i < values.size(); ++i) {
      series.add_steps(static_cast<int>(i) + 1);
      series.add_values(values[i]);
    }
  };
  add("loss", {2.4, 2.4, 1.2, 0.6, 0.3});
  add("grad_norm", {9, 8, 7});
  add("validation_accuracy", {0.5, 0.75, 1});
  add("validation_loss", {1});  // one point is no curve

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(), testing::EndsWith(
                              "(best: step 120)\n"
                              "training loss        @@=._  2.400 -> 0.300\n"
                              "validation accuracy  _+@    50.0% -> 100.0%\n"));
}

TEST_F(TuningReportTest, EndsWithTheTemplatesThatWereTried) {
  report_.set_stop_reason(v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN);
  report_.set_validation_metric_name("accuracy");
  v1::TemplateCandidate& kept = *report_.add_template_candidates();
  kept.set_kept(true);
  kept.set_origin(v1::TemplateCandidate::ORIGIN_TASK);
  kept.set_template_("{{ text }}");
  kept.set_metric(0.5);
  kept.set_loss(0.25);
  kept.set_num_rows(40);

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(),
              testing::EndsWith(
                  "nothing trained\n"
                  "\ntemplates tried, on validation rows\n"
                  "      ACCURACY   LOSS  ROWS  ORIGIN      TEMPLATE\n"
                  "kept     50.0%  0.250    40  the task's  {{ text }}\n"));
}

TEST_F(TuningReportTest, TheMetricThatPickedTheCheckpointIsFirst) {
  report_.set_validation_metric_name("macro_f1");

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(), HasSubstr("CHANGE\nmacro_f1"));
}

}  // namespace
}  // namespace attune::client
