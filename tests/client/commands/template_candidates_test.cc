#include "client/commands/template_candidates.h"

#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

using Candidate = v1::TemplateCandidate;

Candidate& AddCandidate(v1::TuningReport& report, Candidate::Origin origin,
                        const std::string& text, double accuracy, double loss,
                        int num_rows) {
  Candidate& added = *report.add_template_candidates();
  added.set_origin(origin);
  added.set_template_(text);
  added.set_metric(accuracy);
  added.set_loss(loss);
  added.set_num_rows(num_rows);
  return added;
}

// A search of four, of which a pattern was kept.
v1::TuningReport SearchReport() {
  v1::TuningReport report;
  report.set_validation_metric_name("accuracy");
  AddCandidate(report, Candidate::ORIGIN_PATTERN, "{{ text }} => ", 0.75, 0.5,
               1500)
      .set_kept(true);
  AddCandidate(report, Candidate::ORIGIN_TASK, "Text: {{ text }}\nLabel:", 0.5,
               0.9, 1500);
  AddCandidate(report, Candidate::ORIGIN_GENERATED, "Say it.\n\n{{ text }}",
               0.25, 1.5, 60);
  AddCandidate(report, Candidate::ORIGIN_GIVEN, "{{ text }}", 0.125, 20, 16);
  return report;
}

void AddWords(Candidate& candidate, const std::string& label,
              const std::vector<std::string>& words) {
  v1::LabelWords& added = *candidate.add_labels();
  added.set_label(label);
  added.mutable_words()->Assign(words.begin(), words.end());
}

std::string PrintedCandidates(const v1::TuningReport& report,
                              int terminal_columns = 0) {
  std::ostringstream text;
  Stream out{&text};
  out.terminal = terminal_columns > 0;
  out.columns = [terminal_columns] { return terminal_columns; };
  PrintTemplateCandidates(report, out);
  return text.str();
}

TEST(TemplateCandidates, StandOnALineEachBestFirst) {
  EXPECT_EQ(
      PrintedCandidates(SearchReport()),
      "\ntemplates tried, on validation rows\n"
      "      ACCURACY   LOSS   ROWS  ORIGIN      TEMPLATE\n"
      "kept     75.0%  0.500  1,500  pattern     {{ text }} =>\n"
      "         50.0%  0.900  1,500  the task's  Text: {{ text }} Label:\n"
      "         25.0%  1.500     60  the base's  Say it.  {{ text }}\n"
      "         12.5%  20.00     16  given       {{ text }}\n");
}

// A search whose best are better together.
v1::TuningReport EnsembleReport() {
  v1::TuningReport report = SearchReport();
  Candidate& kept = *report.mutable_template_candidates(0);
  kept.set_origin(Candidate::ORIGIN_ENSEMBLE);
  kept.add_more_templates("Text: {{ text }}\nLabel:");
  kept.add_more_templates("<{{ text }}>");
  return report;
}

TEST(TemplateCandidates, OfAnEnsembleTheFirstStandsForAll) {
  const std::string text = PrintedCandidates(EnsembleReport());

  EXPECT_THAT(
      text, HasSubstr("\nkept     75.0%  0.500  1,500  ensemble    {{ text }} "
                      "=>\n" +
                      std::string(42, ' ') +
                      "and 2 more, which answer with it\n"
                      "         50.0%"));
  EXPECT_EQ(CountOf(text, "more, which"), 1);
}

TEST(TemplateCandidates, ALongTemplateHidesNotHowManyAnswerWithIt) {
  v1::TuningReport report = EnsembleReport();
  report.mutable_template_candidates(0)->set_template_(std::string(1000, 'x'));

  EXPECT_THAT(PrintedCandidates(report, /*terminal_columns=*/80),
              HasSubstr("xx…\n" + std::string(42, ' ') + "and 2 more, which "));
}

TEST(TemplateCandidates, ThePageHasEveryTemplateOfAnEnsemble) {
  const std::string page = TemplateFigures(EnsembleReport()).text();

  EXPECT_EQ(WellFormedError(page), "");
  EXPECT_THAT(page, HasSubstr("<span class=\"good\">✓ kept: </span>ensemble"));
  EXPECT_THAT(page, HasSubstr("><pre>{{ text }} =&gt; </pre>"
                              "<pre>Text: {{ text }}\nLabel:</pre>"
                              "<pre>&lt;{{ text }}&gt;</pre></td>"));
  EXPECT_EQ(CountOf(page, "<pre>"), 3);
  EXPECT_EQ(CountOf(page, "Templates of an ensemble answer together"), 1);
  EXPECT_THAT(TemplateFigures(SearchReport()).text(),
              Not(HasSubstr("ensemble")));
}

TEST(TemplateCandidates, AreCutToTheTerminal) {
  v1::TuningReport report = SearchReport();
  report.mutable_template_candidates(1)->set_template_(std::string(1000, 'x'));

  EXPECT_THAT(PrintedCandidates(report, /*terminal_columns=*/60),
              HasSubstr("  the task's  " + std::string(17, 'x') + "…\n"));
  EXPECT_THAT(PrintedCandidates(report), HasSubstr(std::string(1000, 'x')));
}

TEST(TemplateCandidates, OfManyTheBestAreShown) {
  v1::TuningReport report = SearchReport();
  for (int i = 4; i < 12; ++i) {
    AddCandidate(report, Candidate::ORIGIN_PATTERN, "the last one", 0, 30, 16);
  }
  EXPECT_THAT(PrintedCandidates(report), testing::EndsWith("the last one\n"));
  AddCandidate(report, Candidate::ORIGIN_PATTERN, "one more", 0, 31, 16);
  AddCandidate(report, Candidate::ORIGIN_PATTERN, "two more", 0, 32, 16);

  const std::string text = PrintedCandidates(report);

  EXPECT_THAT(text, testing::EndsWith("the last one\n"
                                      "and 2 more, which -o json lists\n"));
  EXPECT_EQ(CountOf(text, "the last one"), 8);
}

TEST(TemplateCandidates, LabelWordsStandBesideTheTemplate) {
  v1::TuningReport report = SearchReport();
  Candidate& found = *report.mutable_template_candidates(0);
  found.set_origin(Candidate::ORIGIN_LABEL_WORDS);
  AddWords(found, "good", {"great", "lovely"});
  AddWords(found, "bad", {"awful"});

  const std::string text = PrintedCandidates(report);

  EXPECT_THAT(text, HasSubstr("label words  good: great, lovely; bad: awful  "
                              "{{ text }} =>\n"));
  EXPECT_THAT(text, HasSubstr("ORIGIN       LABEL WORDS" +
                              std::string(22, ' ') + "TEMPLATE\n"));
}

TEST(TemplateCandidates, WordsOfManyLabelsAreCut) {
  v1::TuningReport report = SearchReport();
  Candidate& found = *report.mutable_template_candidates(0);
  for (int i = 0; i < 100; ++i) AddWords(found, "label", {"word"});

  EXPECT_THAT(PrintedCandidates(report),
              HasSubstr("label: word; label: word; label: word; label: word; "
                        "label: …  {{ text }} =>\n"));
}

TEST(TemplateCandidates, TheLossIsNotShownTwice) {
  v1::TuningReport report = SearchReport();
  report.set_validation_metric_name("loss");

  EXPECT_THAT(PrintedCandidates(report),
              HasSubstr("\n       LOSS   ROWS  ORIGIN"));
  EXPECT_EQ(CountOf(TemplateFigures(report).text(), "loss"), 1);
}

TEST(TemplateCandidates, ThePageHasAllOfThemWhole) {
  v1::TuningReport report = SearchReport();
  for (int i = 0; i < 20; ++i) {
    AddCandidate(report, Candidate::ORIGIN_PATTERN, "more", 0, 30, 16);
  }
  AddWords(*report.mutable_template_candidates(0), "<good>", {"great"});
  AddWords(*report.mutable_template_candidates(0), "bad", {"awful", "dire"});

  const std::string page = TemplateFigures(report).text();

  EXPECT_EQ(WellFormedError(page), "");
  EXPECT_THAT(page, HasSubstr("<th class=\"number\" scope=\"col\">accuracy"));
  EXPECT_THAT(page, HasSubstr("<span class=\"good\">✓ kept: </span>pattern"));
  EXPECT_EQ(CountOf(page, "kept"), 1);
  EXPECT_EQ(CountOf(page, ">more</td>"), 20);
  EXPECT_THAT(page, HasSubstr(">Text: {{ text }}\nLabel:</td>"));
  EXPECT_THAT(page, HasSubstr(">&lt;good&gt;: great\nbad: awful, dire</td>"));
  EXPECT_THAT(page, Not(HasSubstr("<good>")));
  EXPECT_THAT(page, HasSubstr("frame limited"));
}

TEST(TemplateCandidates, AreHarmless) {
  v1::TuningReport report = SearchReport();
  report.set_validation_metric_name("a\x1b[31m");
  report.mutable_template_candidates(0)->set_template_("b\x1b[31m");
  AddWords(*report.mutable_template_candidates(0), "c\x1b[31m", {"d\x1b[31m"});

  const std::string text = PrintedCandidates(report);

  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_EQ(CountOf(text, "\uFFFD["), 4);
}

TEST(TemplateCandidates, WithoutASearchThereIsNothing) {
  v1::TuningReport report;
  report.set_validation_metric_name("accuracy");

  EXPECT_EQ(PrintedCandidates(report), "");
  EXPECT_TRUE(TemplateFigures(report).empty());
}

}  // namespace
}  // namespace attune::client
