#include "worker/tasks/answer_comparison.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_join.h"
#include "worker/metrics/answer_match.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/mcnemar.h"
#include "worker/metrics/report_intervals.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/outcome_metrics.h"
#include "worker/tasks/row_answer.h"

namespace attune::worker {
namespace {

using attune::v1::ChangedExample;
using attune::v1::VersionComparison;

constexpr size_t kMaxExamplesOfAKind = 8;
constexpr size_t kMaxTextBytes = 500;

bool IsRight(const TaskProgram& program, const PreparedExample& example,
             const RowOutcome& outcome) {
  if (program.is_classification()) return outcome.label == example.label;
  if (program.is_tagging()) return outcome.labels == example.tags;
  if (program.is_label_set()) return outcome.labels == example.labels;
  if (program.is_regression()) return false;
  if (program.is_extraction()) {
    return MatchAnswers(RightTexts(program, example), outcome.text).exact == 1;
  }
  return Strip(outcome.text) == Strip(example.answer);
}

// Whether `metric` is the share of rows that IsRight calls right.
bool CountsRightRows(const TaskProgram& program, const std::string& metric) {
  return metric == (program.is_classification() ? "accuracy" : "exact_match");
}

std::string JoinLabels(const TaskProgram& program,
                       const std::vector<int>& labels, const char* separator) {
  std::vector<std::string> names;
  names.reserve(labels.size());
  for (const int label : labels) names.push_back(program.labels()[label]);
  return absl::StrJoin(names, separator);
}

std::string AnswerText(const TaskProgram& program, const RowOutcome& outcome) {
  if (program.is_classification()) return program.labels()[outcome.label];
  if (program.is_tagging()) return JoinLabels(program, outcome.labels, " ");
  if (program.is_label_set()) return JoinLabels(program, outcome.labels, ", ");
  return outcome.text;
}

std::string RightText(const TaskProgram& program,
                      const PreparedExample& example) {
  if (program.is_extraction()) {
    return absl::StrJoin(RightTexts(program, example), " / ");
  }
  if (program.is_label_set()) {
    return absl::StrJoin(SplitLabels(example.answer), ", ");
  }
  return example.answer;
}

bool BeginsCodePoint(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

// At most kMaxTextBytes of a text: what is too much is left out in its middle.
std::string Abbreviated(std::string text) {
  constexpr std::string_view kGap = " ... ";
  if (text.size() <= kMaxTextBytes) return text;
  size_t begin = (kMaxTextBytes - kGap.size()) / 2;
  size_t end = text.size() - begin;
  while (begin > 0 && !BeginsCodePoint(text[begin])) --begin;
  while (end < text.size() && !BeginsCodePoint(text[end])) ++end;
  return text.replace(begin, end - begin, kGap);
}

std::string DecodedInput(const TaskProgram& program, const TaskInput& input) {
  absl::StatusOr<std::string> text = program.model().tokenizer->Decode(
      input.ids, /*skip_special_tokens=*/true);
  return text.ok() ? *std::move(text) : std::string();
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

// The improvement and its bounds, by whichever of the task's metrics has the
// one asked for.
std::optional<std::pair<double, PairedBootstrap>> Difference(
    const AnswerPair& pair, const std::string& metric) {
  const auto before = MetricsOf(pair.program, pair.examples, pair.before);
  const auto after = MetricsOf(pair.program, pair.examples, pair.after);
  for (size_t i = 0; i < before.size(); ++i) {
    MetricValues first;
    MetricValues second;
    before[i]->MeasureAll(first);
    after[i]->MeasureAll(second);
    if (!first.contains(metric) || !second.contains(metric)) continue;
    const bool lower = LowerIsBetter(metric);
    const std::optional<PairedBootstrap> drawn =
        lower ? DifferenceOf(*after[i], *before[i], metric)
              : DifferenceOf(*before[i], *after[i], metric);
    if (!drawn.has_value()) return std::nullopt;
    const double difference = second.at(metric) - first.at(metric);
    return std::make_pair(lower ? -difference : difference, *drawn);
  }
  return std::nullopt;
}

}  // namespace

VersionComparison CompareAnswers(const AnswerPair& pair,
                                 const std::string& metric) {
  VersionComparison comparison;
  comparison.set_metric(metric);
  const bool draws = pair.examples.size() <= kMaxDrawnRows;
  auto found = draws ? Difference(pair, metric) : std::nullopt;
  if (draws && !found.has_value() && metric != "loss") {
    comparison.set_metric("loss");
    found = Difference(pair, "loss");
  }
  for (size_t i = 0; i < pair.examples.size(); ++i) {
    const bool was = IsRight(pair.program, pair.examples[i], pair.before[i]);
    const bool is = IsRight(pair.program, pair.examples[i], pair.after[i]);
    if (is && !was) {
      comparison.set_num_gained_rows(comparison.num_gained_rows() + 1);
    }
    if (was && !is) {
      comparison.set_num_lost_rows(comparison.num_lost_rows() + 1);
    }
  }
  if (!found.has_value()) return comparison;
  comparison.set_improvement(found->first);
  *comparison.mutable_interval() = found->second.interval;
  if (CountsRightRows(pair.program, comparison.metric())) {
    comparison.set_test(VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
    comparison.set_p_value(McNemarPValue(comparison.num_gained_rows(),
                                         comparison.num_lost_rows()));
  } else {
    comparison.set_test(VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
    comparison.set_p_value(found->second.p_value);
  }
  return comparison;
}

std::vector<ChangedExample> FindChangedExamples(const AnswerPair& pair) {
  std::vector<ChangedExample> found;
  if (pair.program.is_regression()) return found;
  enum Kind { kGained, kLost, kOther, kNumKinds };
  std::array<std::vector<size_t>, kNumKinds> rows;
  for (size_t i = 0; i < pair.examples.size(); ++i) {
    if (AnswerText(pair.program, pair.before[i]) ==
        AnswerText(pair.program, pair.after[i])) {
      continue;
    }
    const bool was = IsRight(pair.program, pair.examples[i], pair.before[i]);
    const bool is = IsRight(pair.program, pair.examples[i], pair.after[i]);
    rows[was == is ? kOther : is ? kGained : kLost].push_back(i);
  }
  for (int kind = 0; kind < kNumKinds; ++kind) {
    for (const size_t i : SpreadOver(rows[kind])) {
      const PreparedExample& example = pair.examples[i];
      ChangedExample& one = found.emplace_back();
      one.set_row(static_cast<int64_t>(i));
      one.set_input(Abbreviated(DecodedInput(pair.program, example.input)));
      one.set_right_answer(Abbreviated(RightText(pair.program, example)));
      one.set_before(Abbreviated(AnswerText(pair.program, pair.before[i])));
      one.set_after(Abbreviated(AnswerText(pair.program, pair.after[i])));
      one.set_was_right(IsRight(pair.program, example, pair.before[i]));
      one.set_is_right(IsRight(pair.program, example, pair.after[i]));
    }
  }
  return found;
}

}  // namespace attune::worker
