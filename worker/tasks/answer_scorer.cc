#include "worker/tasks/answer_scorer.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "proto/cc/status_macros.h"
#include "worker/models/encoder_model.h"
#include "worker/models/language_model.h"
#include "worker/tasks/choice_scorer.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/mask_scorer.h"

namespace attune::worker {
namespace {

using LogProbabilities = std::vector<std::vector<double>>;

LabelQuery AsLabelQuery(const ScoredInput& part) {
  return {.text = part.input->ids,
          .trie = &part.program->trie(*part.input),
          .prompt = part.prompt};
}

HeadQuery AsHeadQuery(const ScoredInput& part) {
  return {.text = part.input->ids, .prompt = part.prompt};
}

MaskQuery AsMaskQuery(const ScoredInput& part) {
  return {.masked = MaskedTextOf(*part.program, *part.input),
          .prompt = part.prompt};
}

ChoiceQuery AsChoiceQuery(const ScoredInput& part) {
  return {.text = part.input->ids,
          .choices = part.input->choices.ids,
          .prompt = part.prompt};
}

template <typename Query>
std::vector<Query> QueriesOf(absl::Span<const ScoredInput> parts,
                             Query (*query)(const ScoredInput&)) {
  std::vector<Query> queries;
  queries.reserve(parts.size());
  for (const ScoredInput& part : parts) queries.push_back(query(part));
  return queries;
}

// Of inputs as one template makes them each.
absl::StatusOr<LogProbabilities> ScoreParts(
    const BaseModel& model, absl::Span<const ScoredInput> parts) {
  const TaskProgram& program = *parts.front().program;
  if (program.is_choice()) {
    return ScoreChoices(AsLanguage(model), QueriesOf(parts, AsChoiceQuery));
  }
  if (program.scores_by_head()) {
    return ScoreByHead(AsEncoder(model), QueriesOf(parts, AsHeadQuery));
  }
  if (program.scores_at_mask()) {
    return ScoreAtMask(AsEncoder(model), QueriesOf(parts, AsMaskQuery));
  }
  return ScoreLabels(AsLanguage(model), QueriesOf(parts, AsLabelQuery));
}

int64_t NumPartRows(const ScoredInput& part) {
  const TaskProgram& program = *part.program;
  if (program.is_choice()) return NumChoiceRows(AsChoiceQuery(part));
  if (program.scores_at_mask()) return NumMaskRows(AsMaskQuery(part));
  return program.scores_by_head() ? NumHeadRows(AsHeadQuery(part))
                                  : NumScoringRows(AsLabelQuery(part));
}

// Adds the input as each of its templates makes it.
void AddParts(const ScoredInput& input, std::vector<ScoredInput>& parts) {
  parts.push_back(input);
  for (const TaskInput& other : input.input->others) {
    parts.push_back(
        {.program = input.program, .input = &other, .prompt = input.prompt});
  }
}

// The logarithms of the mean probabilities. parts: logarithms, at least one.
std::vector<double> MeanOf(absl::Span<const std::vector<double>> parts) {
  if (parts.size() == 1) return parts.front();
  std::vector<double> mean(parts.front().size());
  for (size_t i = 0; i < mean.size(); ++i) {
    double largest = parts.front()[i];
    for (const std::vector<double>& part : parts) {
      // A number that is none stays one.
      if (!(part[i] <= largest)) largest = part[i];
    }
    // None gives it anything.
    if (largest == -std::numeric_limits<double>::infinity()) {
      mean[i] = largest;
      continue;
    }
    double sum = 0;
    for (const std::vector<double>& part : parts) {
      sum += std::exp(part[i] - largest);
    }
    mean[i] = largest + std::log(sum / static_cast<double>(parts.size()));
  }
  return mean;
}

}  // namespace

absl::StatusOr<LogProbabilities> ScoreAnswers(
    const BaseModel& model, absl::Span<const ScoredInput> inputs) {
  if (inputs.empty()) return LogProbabilities();
  std::vector<ScoredInput> parts;
  parts.reserve(inputs.size());
  for (const ScoredInput& input : inputs) AddParts(input, parts);
  ATTUNE_ASSIGN_OR_RETURN(LogProbabilities scores, ScoreParts(model, parts));
  if (parts.size() == inputs.size()) return scores;
  LogProbabilities means;
  means.reserve(inputs.size());
  absl::Span<const std::vector<double>> rest = scores;
  for (const ScoredInput& input : inputs) {
    const size_t size = input.input->others.size() + 1;
    means.push_back(MeanOf(rest.first(size)));
    rest.remove_prefix(size);
  }
  return means;
}

int64_t NumAnswerRows(const ScoredInput& input) {
  std::vector<ScoredInput> parts;
  AddParts(input, parts);
  int64_t rows = 0;
  for (const ScoredInput& part : parts) rows += NumPartRows(part);
  return rows;
}

}  // namespace attune::worker
