#include "worker/tasks/answer_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/task_metrics.h"
#include "worker/metrics/answer_match.h"
#include "worker/metrics/mcnemar.h"
#include "worker/metrics/report_intervals.h"
#include "worker/metrics/text_metrics.h"
#include "worker/tasks/outcome_metrics.h"
#include "worker/tasks/shown_text.h"

namespace attune::worker {
namespace {

using attune::v1::ChangedExample;
using attune::v1::VersionComparison;

constexpr size_t kMaxExamplesOfAKind = 8;

bool IsRight(const TaskProgram& program, const PreparedExample& example,
             const RowOutcome& outcome) {
  if (program.is_classification() || program.is_choice()) {
    return outcome.label == example.label;
  }
  if (program.is_tagging()) return outcome.labels == example.tags;
  if (program.is_label_set()) return outcome.labels == example.labels;
  if (program.is_regression()) return false;
  const std::vector<std::string> right = RightTexts(program, example);
  if (program.is_extraction()) {
    return MatchAnswers(right, outcome.text).exact == 1;
  }
  return std::any_of(right.begin(), right.end(), [&](const std::string& one) {
    return IsSameAnswer(outcome.text, one);
  });
}

// What became of a row.
struct RowChange {
  bool was_right = false;
  bool is_right = false;

  bool gained() const { return is_right && !was_right; }
  bool lost() const { return was_right && !is_right; }
};

RowChange ChangeOf(const AnswerPair& pair, size_t row) {
  const PreparedExample& example = pair.examples[row];
  return {.was_right = IsRight(pair.program, example, pair.before[row]),
          .is_right = IsRight(pair.program, example, pair.after[row])};
}

// Whether `metric` is the share of rows that IsRight calls right.
bool CountsRightRows(const TaskProgram& program, const std::string& metric) {
  const bool one_of_some = program.is_classification() || program.is_choice();
  return metric == (one_of_some ? "accuracy" : "exact_match");
}

std::string AnswerText(const TaskProgram& program,
                       const PreparedExample& example,
                       const RowOutcome& outcome) {
  if (program.is_classification()) return program.labels()[outcome.label];
  if (program.is_choice()) return example.input.choices.texts[outcome.label];
  if (program.is_tagging()) return JoinLabels(program, outcome.labels, " ");
  if (program.is_label_set()) return JoinLabels(program, outcome.labels, ", ");
  return outcome.text;
}

// At most kMaxExamplesOfAKind of the rows, evenly spread.
std::vector<size_t> SpreadOver(const std::vector<size_t>& rows) {
  if (rows.size() <= kMaxExamplesOfAKind) return rows;
  std::vector<size_t> chosen;
  for (size_t i = 0; i < kMaxExamplesOfAKind; ++i) {
    chosen.push_back(rows[i * rows.size() / kMaxExamplesOfAKind]);
  }
  return chosen;
}

// Whether both versions answer a row alike.
bool AnswerAlike(const AnswerPair& pair, size_t row) {
  const RowOutcome& before = pair.before[row];
  const RowOutcome& after = pair.after[row];
  // Choices may differ by a capital letter.
  if (pair.program.is_choice()) return before.label == after.label;
  const PreparedExample& example = pair.examples[row];
  return IsSameAnswer(AnswerText(pair.program, example, before),
                      AnswerText(pair.program, example, after));
}

// How much better the second is by a metric.
struct Improvement {
  double value = 0;
  std::optional<PairedBootstrap> drawn;  // absent of too many rows
};

// Absent where the metric has no meaning on the rows or on some draws of them.
std::optional<Improvement> ImprovementOf(const AnswerPair& pair,
                                         const std::string& metric) {
  const auto before =
      MetricRows(pair.program, pair.examples, pair.before, metric);
  const auto after =
      MetricRows(pair.program, pair.examples, pair.after, metric);
  MetricValues first;
  MetricValues second;
  before->MeasureAll(first);
  after->MeasureAll(second);
  if (!first.contains(metric) || !second.contains(metric)) return std::nullopt;
  const bool lower = LowerIsBetter(metric);
  const double difference = second.at(metric) - first.at(metric);
  if (!std::isfinite(difference)) return std::nullopt;
  Improvement improvement = {.value = lower ? -difference : difference,
                             .drawn = std::nullopt};
  if (pair.examples.size() > kMaxDrawnRows) return improvement;
  improvement.drawn = lower ? DifferenceOf(*after, *before, metric)
                            : DifferenceOf(*before, *after, metric);
  if (!improvement.drawn.has_value()) return std::nullopt;
  return improvement;
}

void CountChangedRows(const AnswerPair& pair, VersionComparison& comparison) {
  int64_t gained = 0;
  int64_t lost = 0;
  for (size_t i = 0; i < pair.examples.size(); ++i) {
    const RowChange change = ChangeOf(pair, i);
    gained += change.gained() ? 1 : 0;
    lost += change.lost() ? 1 : 0;
  }
  comparison.set_num_gained_rows(gained);
  comparison.set_num_lost_rows(lost);
}

}  // namespace

VersionComparison CompareAnswers(const AnswerPair& pair,
                                 const std::string& metric) {
  VersionComparison comparison;
  CountChangedRows(pair, comparison);
  comparison.set_metric(metric);
  std::optional<Improvement> found = ImprovementOf(pair, metric);
  if (!found.has_value()) {
    comparison.set_metric("loss");
    found = ImprovementOf(pair, "loss");
  }
  if (!found.has_value()) return comparison;
  comparison.set_improvement(found->value);
  if (found->drawn.has_value()) {
    *comparison.mutable_interval() = found->drawn->interval;
  }
  if (CountsRightRows(pair.program, comparison.metric())) {
    comparison.set_test(VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
    comparison.set_p_value(McNemarPValue(comparison.num_gained_rows(),
                                         comparison.num_lost_rows()));
  } else if (found->drawn.has_value()) {
    comparison.set_test(VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
    comparison.set_p_value(found->drawn->p_value);
  }
  return comparison;
}

std::vector<ChangedExample> FindChangedExamples(const AnswerPair& pair) {
  std::vector<ChangedExample> found;
  if (pair.program.is_regression()) return found;
  enum Kind { kGained, kLost, kOther, kNumKinds };
  std::array<std::vector<size_t>, kNumKinds> rows;
  for (size_t i = 0; i < pair.examples.size(); ++i) {
    if (AnswerAlike(pair, i)) continue;
    const RowChange change = ChangeOf(pair, i);
    rows[change.gained() ? kGained
         : change.lost() ? kLost
                         : kOther]
        .push_back(i);
  }
  for (int kind = 0; kind < kNumKinds; ++kind) {
    for (const size_t i : SpreadOver(rows[kind])) {
      const PreparedExample& example = pair.examples[i];
      ChangedExample& one = found.emplace_back();
      one.set_row(static_cast<int64_t>(i));
      const PreparedExample& read =
          pair.base_examples.empty() ? example : pair.base_examples[i];
      one.set_input(Abbreviated(DecodedInput(pair.program, read.input)));
      one.set_right_answer(Abbreviated(RightText(pair.program, example)));
      one.set_before(
          Abbreviated(AnswerText(pair.program, example, pair.before[i])));
      one.set_after(
          Abbreviated(AnswerText(pair.program, example, pair.after[i])));
      const RowChange change = ChangeOf(pair, i);
      one.set_was_right(change.was_right);
      one.set_is_right(change.is_right);
    }
  }
  return found;
}

}  // namespace attune::worker
