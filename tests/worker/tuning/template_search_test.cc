#include "worker/tuning/template_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/prepared_example.h"

namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::attune::v1::TemplateCandidate;
using ::attune::v1::TemplateSearch;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kGiven0[] =
    "spec.method.hard_prompt.template_search.templates[0]";
constexpr char kGiven1[] =
    "spec.method.hard_prompt.template_search.templates[1]";

// Texts that end in 1 are "left", those that end in 7 are "right".
std::vector<Example> SidedRows(int count) {
  std::vector<Example> rows;
  rows.reserve(count);
  for (int i = 0; i < count; ++i) {
    const bool left = i % 2 == 0;
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": "it is )", i,
                                           left ? "1" : "7", "\"}"),
                    .answer = left ? "left" : "right"});
  }
  return rows;
}

std::vector<Example> TextRows(int count) {
  std::vector<Example> rows;
  rows.reserve(count);
  for (int i = 0; i < count; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": "it is )", i, "\"}"),
                    .answer = absl::StrCat("the ", i % 3)});
  }
  return rows;
}

// What a search is asked for; a value, for an input borrows.
struct Asked {
  TaskSpec task = LabelTask({"left", "right"});
  std::string model = "tiny";
  TemplateSearch search = {};
  std::vector<Example> train = SidedRows(40);
  std::vector<Example> validation = SidedRows(48);
  std::string metric = "loss";

  TemplateSearchInput Input() const {
    return {.task = task,
            .model = TinyModel(model),
            .search = search,
            .train = train,
            .validation = validation,
            .metric = metric,
            .seed = 3};
  }
};

// Only the task's own template and `templates`.
Asked AskedFor(const std::vector<std::string>& templates) {
  Asked asked;
  asked.search.set_skip_patterns(true);
  asked.search.set_num_generated(0);
  for (const std::string& one : templates) asked.search.add_templates(one);
  return asked;
}

absl::StatusOr<FoundTemplate> Find(const Asked& asked,
                                   const TemplateSearchHooks& hooks = {}) {
  return SearchTemplates(asked.Input(), hooks);
}

// The figures of a task on rows, in one go.
attune::v1::EvaluationReport MeasureOn(const std::string& model,
                                       const TaskSpec& task,
                                       const std::vector<Example>& rows) {
  const auto program = CompileTask(task, /*num_prompt_rows=*/0, model);
  const std::vector<PreparedExample> examples =
      *PrepareExamples(*program, rows);
  return *Evaluate(*program, examples, {});
}

double LossOf(const Asked& asked, const std::string& text) {
  TaskSpec task = asked.task;
  task.set_template_(text);
  return MeasureOn(asked.model, task, asked.validation).loss();
}

const std::vector<std::string>& SomeTemplates() {
  static const auto& templates = *new std::vector<std::string>{
      "{{ text }}",     "{{ text }} and the",  "the {{ text }} is",
      "{{ text }}\n\n", "{{ text }} it it it", "0 {{ text }} 0",
      "{{ text }}?"};
  return templates;
}

TEST(HalvingRows, DoubleUntilTheLastTwoSeeAllRows) {
  EXPECT_THAT(HalvingRows(2, 100), ElementsAre(100));
  EXPECT_THAT(HalvingRows(4, 100), ElementsAre(51, 100));
  EXPECT_THAT(HalvingRows(16, 200), ElementsAre(26, 51, 101, 200));
}

TEST(HalvingRows, NoRoundHasFewerThanSixteenOrMoreThanThereAre) {
  EXPECT_THAT(HalvingRows(16, 40), ElementsAre(16, 16, 21, 40));
  EXPECT_THAT(HalvingRows(8, 5), ElementsAre(5, 5, 5));
  EXPECT_THAT(HalvingRows(1, 9), ElementsAre(9));
}

TEST(TemplateSearch, WithFewRowsTheBestOfAllIsKept) {
  Asked asked = AskedFor(SomeTemplates());
  asked.validation = SidedRows(12);

  const absl::StatusOr<FoundTemplate> found = Find(asked);

  ASSERT_OK(found);
  std::vector<std::string> templates = SomeTemplates();
  templates.push_back(asked.task.template_());
  const std::string best = *std::min_element(
      templates.begin(), templates.end(), [&](const auto& a, const auto& b) {
        return LossOf(asked, a) < LossOf(asked, b);
      });
  EXPECT_EQ(found->task.template_(), best);
  ASSERT_THAT(found->candidates, SizeIs(templates.size()));
  EXPECT_EQ(found->candidates[0].template_(), best);
  EXPECT_TRUE(found->candidates[0].kept());
  for (size_t i = 1; i < found->candidates.size(); ++i) {
    EXPECT_FALSE(found->candidates[i].kept());
    EXPECT_EQ(found->candidates[i].num_rows(), 12);
    EXPECT_GE(found->candidates[i].loss(), found->candidates[i - 1].loss());
  }
}

TEST(TemplateSearch, WhatIsMeasuredInRoundsIsWhatOneEvaluationMeasures) {
  Asked asked = AskedFor(SomeTemplates());
  asked.metric = "accuracy";

  const FoundTemplate found = *Find(asked);

  const TemplateCandidate& best = found.candidates[0];
  EXPECT_EQ(best.num_rows(), 48);
  const attune::v1::EvaluationReport whole =
      MeasureOn("tiny", found.task, asked.validation);
  EXPECT_EQ(best.metric(), whole.metrics().at("accuracy"));
  // Other batches add up in another order.
  EXPECT_NEAR(best.loss(), whole.loss(), 1e-5);
}

TEST(TemplateSearch, WorseOnesAreMeasuredOnFewRowsAndTheOwnOneOnAll) {
  const Asked asked = AskedFor(SomeTemplates());

  const FoundTemplate found = *Find(asked);

  // 8 candidates: 16, 25 and 48 rows.
  int num_whole = 0;
  int num_first = 0;
  double own_loss = 0;
  for (const TemplateCandidate& one : found.candidates) {
    num_whole += one.num_rows() == 48;
    num_first += one.num_rows() == 16;
    if (one.origin() != TemplateCandidate::ORIGIN_TASK) continue;
    EXPECT_EQ(one.num_rows(), 48);
    own_loss = one.loss();
  }
  EXPECT_GE(num_first, 3);
  EXPECT_GE(num_whole, 2);
  EXPECT_LE(num_whole, 3);
  EXPECT_LE(found.candidates[0].loss(), own_loss);
}

TEST(TemplateSearch, ATaskWithoutOtherTemplatesKeepsItsOwn) {
  const Asked asked = AskedFor({});

  const FoundTemplate found = *Find(asked);

  EXPECT_EQ(found.task.SerializeAsString(), asked.task.SerializeAsString());
  ASSERT_THAT(found.candidates, SizeIs(1));
  EXPECT_EQ(found.candidates[0].origin(), TemplateCandidate::ORIGIN_TASK);
  EXPECT_EQ(found.candidates[0].num_rows(), 48);
}

TEST(TemplateSearch, PatternsAndInstructionsAreTried) {
  for (const char* model : {"tiny", "t5"}) {
    Asked asked;
    asked.model = model;
    asked.search.set_num_generated(4);

    const absl::StatusOr<FoundTemplate> found = Find(asked);

    ASSERT_OK(found) << model;
    const auto count = [&found](TemplateCandidate::Origin origin) {
      return std::count_if(
          found->candidates.begin(), found->candidates.end(),
          [origin](const auto& one) { return one.origin() == origin; });
    };
    EXPECT_THAT(count(TemplateCandidate::ORIGIN_PATTERN), Ge(8)) << model;
    EXPECT_EQ(count(TemplateCandidate::ORIGIN_TASK), 1) << model;
    // The same search again finds the same.
    const FoundTemplate again = *Find(asked);
    ASSERT_EQ(again.candidates.size(), found->candidates.size());
    for (size_t i = 0; i < again.candidates.size(); ++i) {
      EXPECT_EQ(again.candidates[i].SerializeAsString(),
                found->candidates[i].SerializeAsString());
    }
  }
}

TEST(TemplateSearch, MasksHavePatternsOfTheirOwn) {
  Asked asked;
  asked.model = "masked";
  asked.task.set_template_("{{ text }} is {{ mask }}");
  asked.task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  asked.search.set_num_generated(0);

  const absl::StatusOr<FoundTemplate> found = Find(asked);

  ASSERT_OK(found);
  EXPECT_THAT(found->candidates, SizeIs(Ge(5)));
  for (const TemplateCandidate& one : found->candidates) {
    EXPECT_THAT(one.template_(), HasSubstr("{{ mask }}"));
  }
}

TEST(TemplateSearch, GenerationsAreComparedByTheirMetric) {
  Asked asked = AskedFor({"{{ text }}", "{{ text }} the"});
  asked.task = TextTask(4);
  asked.train = TextRows(20);
  asked.validation = TextRows(12);
  for (const char* metric : {"rouge_l", "loss"}) {
    asked.metric = metric;

    const absl::StatusOr<FoundTemplate> found = Find(asked);

    ASSERT_OK(found);
    ASSERT_THAT(found->candidates, SizeIs(3));
    const attune::v1::EvaluationReport whole =
        MeasureOn("tiny", found->task, asked.validation);
    EXPECT_NEAR(found->candidates[0].metric(), MetricOf(whole, metric), 1e-5);
  }
}

TEST(TemplateSearch, LabelWordsAreTriedWithTheKeptTemplate) {
  Asked asked = AskedFor(SomeTemplates());
  asked.search.set_label_words(true);
  std::vector<std::string> notices;

  const absl::StatusOr<FoundTemplate> found =
      Find(asked, {.on_notice = [&notices](std::string message) {
             notices.push_back(std::move(message));
           }});

  ASSERT_OK(found);
  EXPECT_THAT(notices, IsEmpty());
  std::string kept_template;
  double plain_loss = 0;
  int num_with_words = 0;
  for (const TemplateCandidate& one : found->candidates) {
    if (one.origin() != TemplateCandidate::ORIGIN_LABEL_WORDS) {
      EXPECT_THAT(one.labels(), IsEmpty());
      continue;
    }
    ++num_with_words;
    EXPECT_THAT(one.labels(), SizeIs(2));
    kept_template = one.template_();
  }
  EXPECT_GE(num_with_words, 1);
  EXPECT_EQ(found->task.template_(), kept_template);
  for (const TemplateCandidate& one : found->candidates) {
    if (one.template_() == kept_template && one.labels().empty()) {
      plain_loss = one.loss();
    }
  }
  EXPECT_LE(found->candidates[0].loss(), plain_loss);
}

TEST(TemplateSearch, AnEnsembleIsHeldAgainstTheBest) {
  Asked asked = AskedFor(SomeTemplates());
  asked.search.set_ensemble_size(3);

  const absl::StatusOr<FoundTemplate> found = Find(asked);

  ASSERT_OK(found);
  const auto ensemble = std::find_if(
      found->candidates.begin(), found->candidates.end(), [](const auto& one) {
        return one.origin() == TemplateCandidate::ORIGIN_ENSEMBLE;
      });
  ASSERT_NE(ensemble, found->candidates.end());
  EXPECT_THAT(ensemble->more_templates(), SizeIs(2));
  EXPECT_EQ(ensemble->num_rows(), 48);
  TaskSpec task = asked.task;
  task.set_template_(ensemble->template_());
  *task.mutable_more_templates() = ensemble->more_templates();
  EXPECT_NEAR(ensemble->loss(),
              MeasureOn("tiny", task, asked.validation).loss(), 1e-5);
  // Whichever is better.
  const TemplateCandidate& kept = found->candidates[0];
  EXPECT_LE(kept.loss(), ensemble->loss());
  EXPECT_EQ(found->task.more_templates_size(),
            kept.origin() == TemplateCandidate::ORIGIN_ENSEMBLE ? 2 : 0);
}

TEST(TemplateSearch, WithoutOtherTemplatesThereIsNoEnsemble) {
  Asked asked = AskedFor({});
  asked.search.set_ensemble_size(8);

  const FoundTemplate found = *Find(asked);

  EXPECT_THAT(found.candidates, SizeIs(1));
  EXPECT_THAT(found.task.more_templates(), IsEmpty());
}

TEST(TemplateSearch, ATemplateOfTheJobThatDoesNotFitIsItsError) {
  EXPECT_THAT(Find(AskedFor({"{{ text"})),
              ReasonIs(Reason::kInvalidField, HasSubstr(kGiven0)));
  EXPECT_THAT(Find(AskedFor({"{{ text }}.", "{{ title }}"})),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr(kGiven1), HasSubstr("title"))));
}

TEST(TemplateSearch, AllTemplatesOfTheJobAreCheckedAtOnce) {
  const Asked asked = AskedFor({"{{ text", "{{ title }}", "{{ text }}"});

  EXPECT_OK(CheckGivenTemplates(asked.task, TinyModel(),
                                AskedFor({"{{ text }}"}).search,
                                asked.validation));
  const std::vector<Fault> faults = FaultsIn(CheckGivenTemplates(
      asked.task, TinyModel(), asked.search, asked.validation));
  ASSERT_THAT(faults, SizeIs(2));
  EXPECT_EQ(faults[0].spec_field, kGiven0);
  EXPECT_EQ(faults[1].spec_field, kGiven1);
}

TEST(TemplateSearch, ProgressNeverPassesWhatIsPlanned) {
  Asked asked = AskedFor(SomeTemplates());
  asked.search.set_label_words(true);
  asked.search.set_num_generated(2);
  std::vector<std::pair<int64_t, int64_t>> told;

  ASSERT_OK(Find(asked, {.before_pass = [&told](int64_t done, int64_t total) {
                   told.emplace_back(done, total);
                   return absl::OkStatus();
                 }}));

  int64_t last = 0;
  for (const auto& [done, total] : told) {
    EXPECT_LE(done, total);
    EXPECT_GE(done, last);
    last = done;
  }
  EXPECT_GT(last, 0);
}

TEST(TemplateSearch, ProgressCountsTheRowsThatLabelWordsAreLookedForIn) {
  Asked asked = AskedFor({});
  const auto planned = [&asked] {
    int64_t last = 0;
    EXPECT_OK(Find(asked, {.before_pass = [&last](int64_t, int64_t total) {
                     last = total;
                     return absl::OkStatus();
                   }}));
    return last;
  };
  const int64_t without = planned();
  asked.search.set_label_words(true);

  EXPECT_GE(planned(), without + static_cast<int64_t>(asked.train.size()));
}

TEST(TemplateSearch, EndsWhenItIsToldTo) {
  Asked asked;
  asked.search.set_num_generated(2);
  asked.search.set_label_words(true);
  int passes = 0;
  ASSERT_OK(Find(asked, {.before_pass = [&passes](int64_t, int64_t) {
                   ++passes;
                   return absl::OkStatus();
                 }}));

  for (const int allowed : {0, 1, passes / 2, passes - 1}) {
    int left = allowed;
    EXPECT_THAT(Find(asked, {.before_pass =
                                 [&left](int64_t, int64_t) {
                                   return --left >= 0
                                              ? absl::OkStatus()
                                              : MakeError(Reason::kCancelled,
                                                          "stop");
                                 }}),
                ReasonIs(Reason::kCancelled, HasSubstr("stop")));
  }
}

TEST(TemplateSearch, WhatTheSearchMadeAndDoesNotFitIsLeftOutWithANotice) {
  Asked asked;
  asked.search.set_num_generated(0);
  // Patterns with more text pass this limit.
  asked.task.mutable_truncation()->set_max_input_tokens(24);
  asked.task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_REFUSE);
  asked.task.set_template_("{{ text }}");
  std::vector<std::string> notices;

  const absl::StatusOr<FoundTemplate> found =
      Find(asked, {.on_notice = [&notices](std::string message) {
             notices.push_back(std::move(message));
           }});

  ASSERT_OK(found);
  EXPECT_THAT(notices, ElementsAre(HasSubstr("left out")));
  EXPECT_THAT(found->candidates, SizeIs(Ge(2)));
}

}  // namespace
}  // namespace attune::worker
