#include "worker/tasks/outcome_metrics.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "worker/metrics/answer_match.h"
#include "worker/metrics/class_scores.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/label_metrics.h"
#include "worker/metrics/mean_rows.h"
#include "worker/metrics/number_metrics.h"
#include "worker/metrics/report_intervals.h"
#include "worker/metrics/text_metrics.h"
#include "worker/tasks/entity_metrics.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Examples = absl::Span<const PreparedExample>;
using Outcomes = absl::Span<const RowOutcome>;

// One member of every row.
template <typename Row, typename Value>
std::vector<Value> All(absl::Span<const Row> rows, Value Row::*member) {
  std::vector<Value> values;
  values.reserve(rows.size());
  for (const Row& row : rows) values.push_back(row.*member);
  return values;
}

MeanRows LossRows(Outcomes outcomes) {
  return MeanRows("loss", All(outcomes, &RowOutcome::loss),
                  All(outcomes, &RowOutcome::weight));
}

ClassScoreRows ScoreRows(Examples examples, Outcomes outcomes) {
  return ClassScoreRows(All(examples, &PreparedExample::label),
                        All(outcomes, &RowOutcome::label),
                        All(outcomes, &RowOutcome::probabilities));
}

bool HasIdeograph(std::string_view text) {
  while (!text.empty()) {
    const char32_t code_point = TakeCodePoint(text);
    if (code_point >= 0x4E00 && code_point <= 0x9FFF) return true;
  }
  return false;
}

// What the words of most right answers are: a Chinese text has no spaces
// between them.
BleuTokenizer TokenizerFor(Examples examples) {
  const auto chinese = std::count_if(
      examples.begin(), examples.end(),
      [](const PreparedExample& one) { return HasIdeograph(one.answer); });
  return 2 * chinese > static_cast<int64_t>(examples.size())
             ? BleuTokenizer::kZh
             : BleuTokenizer::k13a;
}

TextRows TextRowsOf(const TaskProgram& program, Examples examples,
                    Outcomes outcomes) {
  std::vector<std::vector<std::string>> right;
  for (const PreparedExample& one : examples) {
    right.push_back(RightTexts(program, one));
  }
  return TextRows(right, All(outcomes, &RowOutcome::text),
                  TokenizerFor(examples));
}

// How the answers of an extractive QA agree with the right ones.
std::pair<MeanRows, MeanRows> MatchRows(const TaskProgram& program,
                                        Examples examples, Outcomes outcomes) {
  std::vector<double> exact;
  std::vector<double> f1;
  for (size_t i = 0; i < examples.size(); ++i) {
    const AnswerMatch match =
        MatchAnswers(RightTexts(program, examples[i]), outcomes[i].text);
    exact.push_back(match.exact);
    f1.push_back(match.f1);
  }
  return {MeanRows("exact_match", std::move(exact)),
          MeanRows("f1", std::move(f1))};
}

template <typename Metrics>
void Append(Metrics metrics, std::vector<std::unique_ptr<RowMetrics>>& all) {
  all.push_back(std::make_unique<Metrics>(std::move(metrics)));
}

// Metrics, classes and the like, without loss and intervals.
void AddMetrics(const TaskProgram& program, Examples examples,
                Outcomes outcomes, bool texts, EvaluationReport& report) {
  if (program.is_classification()) {
    AddClassificationMetrics(All(examples, &PreparedExample::label),
                             All(outcomes, &RowOutcome::label),
                             program.labels(), report);
    AddClassScores(ScoreRows(examples, outcomes), report);
  } else if (program.is_tagging()) {
    AddEntityMetrics(program.tags(), program.labels(),
                     All(examples, &PreparedExample::tags),
                     All(outcomes, &RowOutcome::labels), report);
  } else if (program.is_extraction()) {
    const auto [exact, f1] = MatchRows(program, examples, outcomes);
    exact.MeasureAll(*report.mutable_metrics());
    f1.MeasureAll(*report.mutable_metrics());
  } else if (program.is_label_set()) {
    AddLabelSetMetrics(All(examples, &PreparedExample::labels),
                       All(outcomes, &RowOutcome::labels), program.labels(),
                       report);
  } else if (program.is_regression()) {
    AddNumberMetrics(All(examples, &PreparedExample::number),
                     All(outcomes, &RowOutcome::number), report);
  } else if (texts) {
    AddTextMetrics(TextRowsOf(program, examples, outcomes),
                   All(outcomes, &RowOutcome::text), report);
  }
}

}  // namespace

std::vector<std::string> RightTexts(const TaskProgram& program,
                                    const PreparedExample& example) {
  if (!program.is_extraction()) return {example.answer};
  std::vector<std::string> right;
  for (const ContextSpan& span : example.spans) {
    right.emplace_back(example.input.context.TextOf(span));
  }
  return right;
}

std::vector<std::unique_ptr<RowMetrics>> MetricsOf(const TaskProgram& program,
                                                   Examples examples,
                                                   Outcomes outcomes,
                                                   bool has_texts) {
  std::vector<std::unique_ptr<RowMetrics>> all;
  if (program.is_classification()) {
    Append(ClassificationRows(All(examples, &PreparedExample::label),
                              All(outcomes, &RowOutcome::label),
                              program.labels().size()),
           all);
    Append(ScoreRows(examples, outcomes), all);
  } else if (program.is_tagging()) {
    Append(CountEntities(program.tags(), All(examples, &PreparedExample::tags),
                         All(outcomes, &RowOutcome::labels)),
           all);
  } else if (program.is_extraction()) {
    auto [exact, f1] = MatchRows(program, examples, outcomes);
    Append(std::move(exact), all);
    Append(std::move(f1), all);
  } else if (program.is_label_set()) {
    Append(LabelSetRows(All(examples, &PreparedExample::labels),
                        All(outcomes, &RowOutcome::labels),
                        program.labels().size()),
           all);
  } else if (program.is_regression()) {
    Append(NumberRows(All(examples, &PreparedExample::number),
                      All(outcomes, &RowOutcome::number)),
           all);
  } else if (has_texts) {
    Append(TextRowsOf(program, examples, outcomes), all);
  }
  Append(LossRows(outcomes), all);
  return all;
}

void MeasureOutcomes(const TaskProgram& program, Examples examples,
                     Outcomes outcomes, const OutcomeMeasures& measures,
                     EvaluationReport& report) {
  double loss = 0;
  double weight = 0;
  for (const RowOutcome& one : outcomes) {
    loss += one.loss;
    weight += one.weight;
  }
  // Words that no tokenizer knows may be all there is.
  report.set_loss(loss / std::max(1.0, weight));
  AddMetrics(program, examples, outcomes, measures.texts, report);
  if (!measures.intervals || outcomes.size() > kMaxDrawnRows) return;
  for (const auto& metrics :
       MetricsOf(program, examples, outcomes, measures.texts)) {
    AddIntervals(*metrics, report);
  }
}

}  // namespace attune::worker
