#include "worker/tasks/outcome_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "worker/metrics/answer_match.h"
#include "worker/metrics/calibration.h"
#include "worker/metrics/class_scores.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/label_metrics.h"
#include "worker/metrics/mean_rows.h"
#include "worker/metrics/number_metrics.h"
#include "worker/metrics/report_intervals.h"
#include "worker/metrics/text_metrics.h"
#include "worker/tasks/entity_metrics.h"
#include "worker/tasks/label_calibration.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Examples = absl::Span<const PreparedExample>;
using Outcomes = absl::Span<const RowOutcome>;

// The most probabilities whose metrics are taken of draws: each draw walks all
// of them, label by label.
constexpr size_t kMaxDrawnProbabilities = 1'000'000;

// e to the mean loss of a generation's tokens: among how many equally likely
// ones the model wavers.
constexpr char kPerplexity[] = "perplexity";

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
  right.reserve(examples.size());
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
  exact.reserve(examples.size());
  f1.reserve(examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    const AnswerMatch match =
        MatchAnswers(RightTexts(program, examples[i]), outcomes[i].text);
    exact.push_back(match.exact);
    f1.push_back(match.f1);
  }
  return {MeanRows("exact_match", std::move(exact)),
          MeanRows("f1", std::move(f1))};
}

ClassificationRows LabelRows(const TaskProgram& program, Examples examples,
                             Outcomes outcomes) {
  return ClassificationRows(All(examples, &PreparedExample::label),
                            All(outcomes, &RowOutcome::label),
                            program.labels().size());
}

// Whether each choice is the right one.
MeanRows AccuracyRows(Examples examples, Outcomes outcomes) {
  std::vector<double> is_right;
  is_right.reserve(examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    is_right.push_back(outcomes[i].label == examples[i].label ? 1 : 0);
  }
  return MeanRows("accuracy", std::move(is_right));
}

LabelSetRows LabelSetRowsOf(const TaskProgram& program, Examples examples,
                            Outcomes outcomes) {
  return LabelSetRows(All(examples, &PreparedExample::labels),
                      All(outcomes, &RowOutcome::labels),
                      program.labels().size());
}

EntityRows TagRows(const TaskProgram& program, Examples examples,
                   Outcomes outcomes) {
  return CountEntities(program.tags(), All(examples, &PreparedExample::tags),
                       All(outcomes, &RowOutcome::labels));
}

NumberRows NumberRowsOf(Examples examples, Outcomes outcomes) {
  return NumberRows(All(examples, &PreparedExample::number),
                    All(outcomes, &RowOutcome::number));
}

// How many answers are not withheld, and how many of these are right.
std::pair<MeanRows, MeanRows> AnsweredRows(const TaskProgram& program,
                                           Examples examples,
                                           Outcomes outcomes) {
  std::vector<double> answered;
  std::vector<double> right;
  answered.reserve(outcomes.size());
  right.reserve(outcomes.size());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const RowOutcome& one = outcomes[i];
    answered.push_back(
        Abstains(program.task().calibration(), one.probabilities[one.label])
            ? 0
            : 1);
    right.push_back(one.label == examples[i].label ? answered.back() : 0);
  }
  MeanRows accuracy("answered_accuracy", std::move(right), answered);
  return {MeanRows("coverage", std::move(answered)), std::move(accuracy)};
}

// Fills everything of a report but its loss. Made for one call of
// MeasureOutcomes.
class ReportFiller {
 public:
  ReportFiller(const TaskProgram& program, Examples examples,
               absl::Span<RowOutcome> outcomes, bool intervals,
               EvaluationReport& report)
      : program_(program),
        examples_(examples),
        outcomes_(outcomes),
        intervals_(intervals),
        report_(report) {}

  void Fill(bool texts) {
    if (program_.is_classification()) {
      FillLabels();
    } else if (program_.is_choice()) {
      FillChoices();
    } else if (program_.is_tagging()) {
      AddEntityMetrics(program_.tags(), program_.labels(),
                       All(examples_, &PreparedExample::tags),
                       All<RowOutcome>(outcomes_, &RowOutcome::labels),
                       report_);
      if (intervals_)
        AddIntervals(TagRows(program_, examples_, outcomes_), report_);
    } else if (program_.is_extraction()) {
      const auto [exact, f1] = MatchRows(program_, examples_, outcomes_);
      exact.MeasureAll(*report_.mutable_metrics());
      f1.MeasureAll(*report_.mutable_metrics());
      if (intervals_) {
        AddIntervals(exact, report_);
        AddIntervals(f1, report_);
      }
    } else if (program_.is_label_set()) {
      AddLabelSetMetrics(All(examples_, &PreparedExample::labels),
                         All<RowOutcome>(outcomes_, &RowOutcome::labels),
                         program_.labels(), report_);
      if (intervals_)
        AddIntervals(LabelSetRowsOf(program_, examples_, outcomes_), report_);
    } else if (program_.is_regression()) {
      AddNumberMetrics(All(examples_, &PreparedExample::number),
                       All<RowOutcome>(outcomes_, &RowOutcome::number),
                       report_);
      if (intervals_) AddIntervals(NumberRowsOf(examples_, outcomes_), report_);
    } else if (texts) {
      const TextRows rows = TextRowsOf(program_, examples_, outcomes_);
      AddTextMetrics(rows, All<RowOutcome>(outcomes_, &RowOutcome::text),
                     report_);
      if (intervals_) AddIntervals(rows, report_);
    }
    if (intervals_) FillLossIntervals();
  }

 private:
  std::vector<std::vector<double>> TakeProbabilities() {
    std::vector<std::vector<double>> probabilities;
    probabilities.reserve(outcomes_.size());
    for (RowOutcome& one : outcomes_) {
      probabilities.push_back(std::exchange(one.probabilities, {}));
    }
    return probabilities;
  }

  void FillLossIntervals() {
    AddIntervals(LossRows(outcomes_), report_);
    const auto loss = report_.intervals().find("loss");
    if (!program_.is_generation() || loss == report_.intervals().end()) return;
    // Draws that are in the order of their losses are in that of these, too.
    attune::v1::MetricInterval perplexity;
    perplexity.set_low(std::exp(loss->second.low()));
    perplexity.set_high(std::exp(loss->second.high()));
    (*report_.mutable_intervals())[kPerplexity] = perplexity;
  }

  void FillChoices() {
    const MeanRows accuracy = AccuracyRows(examples_, outcomes_);
    accuracy.MeasureAll(*report_.mutable_metrics());
    const CalibrationRows calibration(
        All(examples_, &PreparedExample::label),
        All<RowOutcome>(outcomes_, &RowOutcome::label), TakeProbabilities());
    calibration.MeasureAll(*report_.mutable_metrics());
    calibration.AddReliability(report_);
    if (!intervals_) return;
    AddIntervals(accuracy, report_);
    AddIntervals(calibration, report_);
  }

  void FillLabels() {
    const std::vector<int> right = All(examples_, &PreparedExample::label);
    const std::vector<int> given =
        All<RowOutcome>(outcomes_, &RowOutcome::label);
    AddClassificationMetrics(right, given, program_.labels(), report_);
    if (program_.task().calibration().abstain_below() > 0) FillAnswered();
    const ClassScoreRows scores(right, given, TakeProbabilities());
    AddClassScores(scores, report_);
    if (!intervals_) return;
    AddIntervals(LabelRows(program_, examples_, outcomes_), report_);
    if (right.size() * program_.labels().size() <= kMaxDrawnProbabilities) {
      AddIntervals(scores, report_);
    }
  }

  void FillAnswered() {
    const auto [coverage, accuracy] =
        AnsweredRows(program_, examples_, outcomes_);
    for (const MeanRows* rows : {&coverage, &accuracy}) {
      rows->MeasureAll(*report_.mutable_metrics());
      if (intervals_) AddIntervals(*rows, report_);
    }
  }

  const TaskProgram& program_;
  const Examples examples_;
  const absl::Span<RowOutcome> outcomes_;
  const bool intervals_;
  EvaluationReport& report_;
};

template <typename Metrics>
std::unique_ptr<RowMetrics> Owned(Metrics metrics) {
  return std::make_unique<Metrics>(std::move(metrics));
}

}  // namespace

std::vector<std::string> RightTexts(const TaskProgram& program,
                                    const PreparedExample& example) {
  std::vector<std::string> right;
  if (!program.is_extraction()) {
    right = example.other_answers;
    right.insert(right.begin(), example.answer);
    return right;
  }
  for (const ContextSpan& span : example.spans) {
    right.emplace_back(example.input.context.TextOf(span));
  }
  return right;
}

void MeasureOutcomes(const TaskProgram& program, Examples examples,
                     absl::Span<RowOutcome> outcomes,
                     const OutcomeMeasures& measures,
                     EvaluationReport& report) {
  double loss = 0;
  double weight = 0;
  for (const RowOutcome& one : outcomes) {
    loss += one.loss;
    weight += one.weight;
  }
  // Words that no tokenizer knows may be all there is.
  report.set_loss(loss / std::max(1.0, weight));
  if (program.is_generation()) {
    (*report.mutable_metrics())[kPerplexity] = std::exp(report.loss());
  }
  const bool intervals = measures.intervals && outcomes.size() <= kMaxDrawnRows;
  ReportFiller(program, examples, outcomes, intervals, report)
      .Fill(measures.texts);
}

std::unique_ptr<RowMetrics> MetricRows(const TaskProgram& program,
                                       Examples examples, Outcomes outcomes,
                                       const std::string& metric) {
  if (metric == "loss") return Owned(LossRows(outcomes));
  if (program.is_tagging()) return Owned(TagRows(program, examples, outcomes));
  if (program.is_label_set()) {
    return Owned(LabelSetRowsOf(program, examples, outcomes));
  }
  if (program.is_regression()) return Owned(NumberRowsOf(examples, outcomes));
  if (program.is_extraction()) {
    auto [exact, f1] = MatchRows(program, examples, outcomes);
    return Owned(metric == "f1" ? std::move(f1) : std::move(exact));
  }
  if (program.is_classification()) {
    return Owned(LabelRows(program, examples, outcomes));
  }
  if (program.is_choice()) return Owned(AccuracyRows(examples, outcomes));
  return Owned(TextRowsOf(program, examples, outcomes));
}

}  // namespace attune::worker
