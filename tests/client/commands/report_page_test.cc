#include "client/commands/report_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sample_versions.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ReportPage, IsWellFormedWhateverTheTask) {
  for (const v1::PromptVersion& version :
       {ClassificationSample(4), ClassificationSample(77), TaggingSample(),
        GenerationSample(), RegressionSample(), v1::PromptVersion()}) {
    EXPECT_EQ(WellFormedError(ReportPage(version)), "") << version.name();
  }
}

TEST(ReportPage, ShowsTheWholeVersion) {
  const std::string page = ReportPage(ClassificationSample(4));

  for (const char* part :
       {"<h1>prompts/banking77-intent/versions/3</h1>",
        "class=\"verdict green\"><p>Better than the base: accuracy",
        "<b>38.0% → 91.0%</b>", "<h2>Metrics</h2>", "<h2>Training</h2>",
        "<h2>Confusions</h2>", "<h2>Labels</h2>", "<h2>Reliability</h2>",
        "<h3>Rows that became right</h3>", "<h2>Data</h2>", "<h2>Task</h2>",
        "<pre>Customer: {{ text }}\nAnswer:</pre>", "intent 0, the intent 0",
        "<dt>num virtual tokens</dt><dd>20</dd>",
        "<dt>ended by</dt><dd>early stopping</dd>",
        "<dt>digest of the rows</dt><dd>dddd", "<dt>artifact</dt><dd>aaaa"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(ReportPage, ShowsTheTemplatesThatWereTriedBeforeTheTask) {
  v1::PromptVersion version = ClassificationSample(4);
  version.mutable_report()->add_template_candidates()->set_template_(
      "{{ text }} It was");

  const std::string page = ReportPage(version);

  const size_t tried = page.find("<h2>Templates tried</h2>");
  ASSERT_NE(tried, page.npos);
  EXPECT_LT(page.find("<h2>Data</h2>"), tried);
  EXPECT_LT(tried, page.find(">{{ text }} It was</td>"));
  EXPECT_LT(page.find(">{{ text }} It was</td>"), page.find("<h2>Task</h2>"));
  EXPECT_EQ(WellFormedError(page), "");
}

TEST(ReportPage, ShowsFurtherTemplatesUnderTheFirst) {
  v1::PromptVersion version = ClassificationSample(4);
  EXPECT_THAT(ReportPage(version), Not(HasSubstr("Further templates")));
  version.mutable_task()->add_more_templates("{{ text }}\nIt was");
  version.mutable_task()->add_more_templates("{{ text }} =>");

  const std::string page = ReportPage(version);

  EXPECT_THAT(page, HasSubstr("<pre>Customer: {{ text }}\nAnswer:</pre>"
                              "<h3>Further templates</h3>"
                              "<pre>{{ text }}\nIt was</pre>"
                              "<pre>{{ text }} =&gt;</pre>"));
  EXPECT_THAT(page, Not(HasSubstr("<dt>more templates</dt>")));
  EXPECT_EQ(WellFormedError(page), "");
}

TEST(ReportPage, EscapesEveryOutsideText) {
  v1::PromptVersion version = ClassificationSample(2);
  const std::string evil = "<script>alert('x')</script>\"&";
  version.set_name(evil);
  version.set_base_model(evil);
  version.mutable_task()->set_template_(evil);
  version.mutable_task()->add_more_templates(evil);
  version.mutable_task()->set_system_message(evil);
  version.mutable_task()->mutable_labels(0)->set_label(evil);
  version.mutable_task()->mutable_labels(0)->add_words(evil);
  version.mutable_snapshot()->set_dataset(evil);
  version.mutable_files(0)->set_name(evil);
  v1::TuningReport& report = *version.mutable_report();
  report.set_validation_metric_name(evil);
  report.mutable_series(4)->set_name("validation_" + evil);
  report.mutable_comparison()->set_metric(evil);
  v1::EvaluationReport& after = *report.mutable_after();
  after.set_split(evil);
  (*after.mutable_metrics())[evil] = 1;
  after.mutable_confusion_matrix()->set_labels(0, evil);
  after.mutable_classes(0)->set_label(evil);
  v1::ChangedExample& example = *report.mutable_changed_examples(0);
  example.set_input(evil);
  example.set_before(evil);
  v1::TemplateCandidate& candidate = *report.add_template_candidates();
  candidate.set_template_(evil);
  candidate.add_more_templates(evil);
  candidate.add_labels()->set_label(evil);

  const std::string page = ReportPage(version);

  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_GE(CountOf(page, "&lt;script&gt;"), 18);
  EXPECT_EQ(WellFormedError(page), "");
}

TEST(ReportPage, ATaggingHasTypesAndTags) {
  const std::string page = ReportPage(TaggingSample());

  EXPECT_THAT(page, HasSubstr("<h2>Types of entities</h2>"));
  EXPECT_THAT(page, HasSubstr("<h2>Tags, over words</h2>"));
  EXPECT_THAT(page, HasSubstr("class=\"verdict grey\""));
}

TEST(ReportPage, LeavesOutWhatAReportDoesNotHave) {
  const std::string page = ReportPage(GenerationSample());

  for (const char* part :
       {"<h2>Training</h2>", "<h2>Confusions</h2>", "<h2>Reliability</h2>",
        "<h2>Labels</h2>", "<h2>Changed answers</h2>",
        "<h2>Templates tried</h2>", "nan"}) {
    EXPECT_THAT(page, Not(HasSubstr(part)));
  }
}

}  // namespace
}  // namespace attune::client
