#include "worker/inference/answer_pass.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/answer_scorer.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_calibration.h"
#include "worker/tasks/span_scorer.h"
#include "worker/tasks/tag_answer.h"
#include "worker/tasks/tag_scorer.h"

namespace attune::worker {
namespace {

// Adds the labels of an item's task with what `probability` makes of their
// values, the largest value first.
template <typename Probability>
void AddScores(
    const WorkItem& item, const std::vector<double>& values,
    Probability probability,
    google::protobuf::RepeatedPtrField<attune::v1::LabelScore>& scores) {
  const std::vector<std::string>& labels = item.target->program->labels();
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  for (size_t i : order) {
    attune::v1::LabelScore& score = *scores.Add();
    score.set_label(labels[i]);
    score.set_score(probability(values[i]));
  }
}

// What a head's outputs say where they are no probabilities of one label.
// Internal if one is not a number.
absl::StatusOr<attune::v1::PredictResult> OutputResult(
    const WorkItem& item, const std::vector<double>& outputs) {
  if (!std::all_of(outputs.begin(), outputs.end(),
                   [](double value) { return std::isfinite(value); })) {
    return MakeError(Reason::kInternal,
                     "the model's outputs are not finite, so there is no "
                     "answer");
  }
  attune::v1::PredictResult result = item.MakeResult();
  const TaskProgram& program = *item.target->program;
  if (program.is_regression()) {
    const attune::v1::NumberScale& scale = program.task().number_scale();
    result.mutable_answer()->mutable_number()->set_value(
        scale.mean() + scale.deviation() * outputs[0]);
    return result;
  }
  attune::v1::LabelSetAnswer& answer =
      *result.mutable_answer()->mutable_label_set();
  AddScores(
      item, outputs, [](double value) { return 1 / (1 + std::exp(-value)); },
      *answer.mutable_scores());
  const int above = static_cast<int>(LabelsAbove(outputs).size());
  for (int i = 0; i < above; ++i) *answer.add_labels() = answer.scores(i);
  return result;
}

// scores: log-probabilities, one per label. Internal if one is not a number.
absl::StatusOr<attune::v1::PredictResult> LabelResult(
    const WorkItem& item, const std::vector<double>& scores) {
  if (std::any_of(scores.begin(), scores.end(),
                  [](double value) { return std::isnan(value); })) {
    return MakeError(Reason::kInternal,
                     "the model's scores are not finite, so no label can be "
                     "picked");
  }
  const attune::v1::LabelCalibration& calibration =
      item.target->program->task().calibration();
  std::vector<double> log_probabilities = scores;
  Calibrate(calibration, log_probabilities);
  attune::v1::PredictResult result = item.MakeResult();
  attune::v1::LabelAnswer& answer = *result.mutable_answer()->mutable_label();
  AddScores(
      item, log_probabilities, [](double value) { return std::exp(value); },
      *answer.mutable_scores());
  answer.set_score(answer.scores(0).score());
  answer.set_abstained(Abstains(calibration, answer.score()));
  if (!answer.abstained()) answer.set_label(answer.scores(0).label());
  return result;
}

// log_probabilities: one per choice. Internal if one is not a number.
absl::StatusOr<attune::v1::PredictResult> ChoiceResult(
    const WorkItem& item, const std::vector<double>& log_probabilities) {
  if (std::any_of(log_probabilities.begin(), log_probabilities.end(),
                  [](double value) { return std::isnan(value); })) {
    return MakeError(Reason::kInternal,
                     "the model's scores are not finite, so no choice can be "
                     "picked");
  }
  attune::v1::PredictResult result = item.MakeResult();
  attune::v1::ChoiceAnswer& answer = *result.mutable_answer()->mutable_choice();
  for (const double value : log_probabilities) {
    answer.add_scores(std::exp(value));
  }
  const auto best =
      std::max_element(log_probabilities.begin(), log_probabilities.end()) -
      log_probabilities.begin();
  answer.set_index(static_cast<int>(best));
  answer.set_text(item.input.choices.texts[best]);
  answer.set_score(std::exp(log_probabilities[best]));
  return result;
}

// -> log-probabilities of all labels or choices of each item.
absl::StatusOr<std::vector<std::vector<double>>> ScoreItems(
    const BaseModel& model, absl::Span<const std::unique_ptr<WorkItem>> items) {
  std::vector<ScoredInput> inputs;
  inputs.reserve(items.size());
  for (const auto& item : items) inputs.push_back(item->scored_input());
  return ScoreAnswers(model, inputs);
}

// The tags of an item's words.
absl::StatusOr<attune::v1::PredictResult> TagResult(const WorkItem& item,
                                                    const TagScores& scores) {
  for (const std::vector<double>& word : scores) {
    if (std::any_of(word.begin(), word.end(),
                    [](double value) { return std::isnan(value); })) {
      return MakeError(Reason::kInternal,
                       "the model's scores are not finite, so no tag can be "
                       "picked");
    }
  }
  attune::v1::PredictResult result = item.MakeResult();
  *result.mutable_answer()->mutable_tags() =
      MakeTagAnswer(*item.target->program, item.input.words, scores);
  return result;
}

// The answer in an item's context.
absl::StatusOr<attune::v1::PredictResult> SpanResult(
    const WorkItem& item, const std::vector<SpanScores>& scores) {
  const InputContext& context = item.input.context;
  const ScoredSpan found = FindBestSpan(
      context.windows, scores,
      item.target->program->task().span_reading().max_answer_tokens());
  if (!std::isfinite(found.score)) {
    return MakeError(Reason::kInternal,
                     "the model's scores are not finite, so no span can be "
                     "picked");
  }
  attune::v1::PredictResult result = item.MakeResult();
  attune::v1::SpanAnswer& answer = *result.mutable_answer()->mutable_span();
  answer.set_score(found.score);
  if (found.span.empty()) return result;
  answer.set_has_answer(true);
  answer.set_text(std::string(context.TextOf(found.span)));
  answer.set_begin(CountCharacters(context.text, found.span.begin));
  answer.set_end(CountCharacters(context.text, found.span.end));
  return result;
}

}  // namespace

absl::StatusOr<std::vector<absl::StatusOr<attune::v1::PredictResult>>>
RunAnswerPass(const BaseModel& model,
              absl::Span<const std::unique_ptr<WorkItem>> items) {
  using Results = std::vector<absl::StatusOr<attune::v1::PredictResult>>;
  return CatchTorchErrors(kEnginePass, [&]() -> absl::StatusOr<Results> {
    Results results;
    if (items.front()->form() == AnswerForm::kTags) {
      std::vector<TagQuery> queries;
      for (const auto& item : items) queries.push_back(item->tag_query());
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<TagScores> scores,
                              ScoreTags(AsEncoder(model), queries));
      for (size_t i = 0; i < items.size(); ++i) {
        results.push_back(TagResult(*items[i], scores[i]));
      }
      return results;
    }
    if (items.front()->form() == AnswerForm::kSpan) {
      std::vector<SpanQuery> queries;
      for (const auto& item : items) queries.push_back(item->span_query());
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<SpanScores>> scores,
                              ScoreSpans(AsEncoder(model), queries));
      for (size_t i = 0; i < items.size(); ++i) {
        results.push_back(SpanResult(*items[i], scores[i]));
      }
      return results;
    }
    if (items.front()->form() == AnswerForm::kOutputs) {
      std::vector<HeadQuery> queries;
      for (const auto& item : items) queries.push_back(item->head_query());
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> outputs,
                              HeadOutputs(AsEncoder(model), queries));
      for (size_t i = 0; i < items.size(); ++i) {
        results.push_back(OutputResult(*items[i], outputs[i]));
      }
      return results;
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> scores,
                            ScoreItems(model, items));
    const auto result = items.front()->form() == AnswerForm::kChoice
                            ? ChoiceResult
                            : LabelResult;
    for (size_t i = 0; i < items.size(); ++i) {
      results.push_back(result(*items[i], scores[i]));
    }
    return results;
  });
}

}  // namespace attune::worker
