#include "worker/tasks/prepared_example.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/row_answer.h"

namespace attune::worker {
namespace {

// Places of labels or tags among the task's.
absl::StatusOr<std::vector<int>> FindLabels(
    const TaskProgram& program, const std::vector<std::string>& names) {
  std::vector<int> labels;
  for (const std::string& name : names) {
    const std::optional<int> label = program.FindLabel(name);
    if (!label.has_value()) {
      return FieldFault(Reason::kInvalidData, program.task().answer_field(),
                        Concat(program.is_tagging() ? "tag '" : "label '", name,
                               "' is not among the task's labels"));
    }
    labels.push_back(*label);
  }
  return labels;
}

absl::Status CheckTagOfEveryWord(const TaskProgram& program,
                                 const PreparedExample& prepared) {
  const size_t num_words = prepared.input.words.words.size();
  if (prepared.tags.size() == num_words) return absl::OkStatus();
  return FieldFault(
      Reason::kInvalidData, program.task().answer_field(),
      Concat("field '", program.task().tokens_field(), "' has ", num_words,
             " words, but field '", program.task().answer_field(), "' has ",
             prepared.tags.size(), " tags"));
}

absl::Status CheckSpansHaveTokens(const TaskProgram& program,
                                  const PreparedExample& prepared) {
  const InputContext& context = prepared.input.context;
  for (const ContextSpan& span : prepared.spans) {
    if (!std::any_of(context.windows.begin(), context.windows.end(),
                     [&](const ContextWindow& window) {
                       return HasTokenOf(window, span);
                     })) {
      return FieldFault(Reason::kInvalidData, program.task().answer_field(),
                        Concat("answer '", context.TextOf(span),
                               "' has no tokens: the model does not see it"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PreparedExample> Prepare(const TaskProgram& program,
                                        const Example& example) {
  PreparedExample prepared;
  prepared.row = example.row;
  prepared.answer = example.answer;
  prepared.other_answers = example.other_answers;
  if (program.is_classification()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<int> labels,
                            FindLabels(program, {example.answer}));
    prepared.label = labels.front();
  }
  if (!program.is_generation()) {
    ATTUNE_ASSIGN_OR_RETURN(
        prepared.input,
        program.PrepareInput(example.fields, /*answer_tokens=*/1));
  }
  if (program.is_classification()) return prepared;
  if (program.is_choice()) {
    const std::optional<int> right =
        prepared.input.choices.Find(example.answer);
    if (!right.has_value()) {
      return MakeError(Reason::kInvalidData,
                       Concat("'", example.answer, "' is none of the choices"));
    }
    prepared.label = *right;
    return prepared;
  }
  if (program.is_extraction()) {
    prepared.spans = SpansOf(example.answer);
    ATTUNE_RETURN_IF_ERROR(CheckSpansHaveTokens(program, prepared));
    return prepared;
  }
  if (program.is_regression()) {
    prepared.number = NumberOf(example.answer);
    return prepared;
  }
  if (program.is_label_set()) {
    ATTUNE_ASSIGN_OR_RETURN(prepared.labels,
                            FindLabels(program, SplitLabels(example.answer)));
    std::sort(prepared.labels.begin(), prepared.labels.end());
    return prepared;
  }
  if (program.is_tagging()) {
    ATTUNE_ASSIGN_OR_RETURN(prepared.tags,
                            FindLabels(program, SplitTags(example.answer)));
    ATTUNE_RETURN_IF_ERROR(CheckTagOfEveryWord(program, prepared));
    return prepared;
  }
  // Whether the answer has a space of its own depends on the rendered text, so
  // room is kept for the longer of the two.
  ATTUNE_ASSIGN_OR_RETURN(
      prepared.answer_ids,
      program.EncodeAnswer(example.answer, /*bare_answer=*/false));
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<int64_t> bare,
      program.EncodeAnswer(example.answer, /*bare_answer=*/true));
  const size_t room = std::max(prepared.answer_ids.size(), bare.size());
  ATTUNE_ASSIGN_OR_RETURN(
      prepared.input,
      program.PrepareInput(example.fields, static_cast<int64_t>(room)));
  if (prepared.input.bare_answer) prepared.answer_ids = std::move(bare);
  const int64_t places = program.AnswerRoom(prepared.input);
  if (static_cast<int64_t>(prepared.answer_ids.size()) > places) {
    return FieldFault(Reason::kInputTooLong, program.task().answer_field(),
                      Concat("the answer has ", prepared.answer_ids.size(),
                             " tokens; the model's context takes ", places));
  }
  return prepared;
}

// The field that the template reads and `fields` has not; empty if there is
// none.
std::string MissingField(const TaskProgram& program, std::string_view fields) {
  const nlohmann::json values =
      nlohmann::json::parse(fields, nullptr, /*allow_exceptions=*/false);
  for (const std::string& name : program.fields_read()) {
    if (!values.contains(name)) return name;
  }
  return "";
}

absl::Status PreparationFault(const TaskProgram& program,
                              const Example& example,
                              const absl::Status& status) {
  const bool renders = ReasonOf(status) != Reason::kInvalidTemplate;
  return InRow(example.row,
               renders ? "" : MissingField(program, example.fields), status);
}

constexpr size_t kRowsBetweenPauses = 128;

}  // namespace

absl::StatusOr<std::vector<PreparedExample>> PrepareExamples(
    const TaskProgram& program, absl::Span<const Example> examples,
    const std::function<void()>& pause, const FaultHandler& on_fault) {
  std::vector<PreparedExample> prepared;
  prepared.reserve(examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    if (pause && i % kRowsBetweenPauses == 0) pause();
    absl::StatusOr<PreparedExample> one = Prepare(program, examples[i]);
    if (one.ok()) {
      prepared.push_back(*std::move(one));
      continue;
    }
    ATTUNE_RETURN_IF_ERROR(
        Meet(on_fault, PreparationFault(program, examples[i], one.status())));
  }
  return prepared;
}

double PreparedExample::weight() const {
  if (!answer_ids.empty()) return static_cast<double>(answer_ids.size());
  if (!tags.empty()) return CountWordsRead(input.words.words);
  const size_t windows = input.context.windows.size();
  return windows == 0 ? 1 : static_cast<double>(windows);
}

std::vector<PreparedExample> SplitWindows(const PreparedExample& example) {
  std::vector<PreparedExample> parts;
  for (const ContextWindow& window : example.input.context.windows) {
    PreparedExample& part = parts.emplace_back();
    part.row = example.row;
    part.spans = example.spans;
    part.input.ids = window.ids;
    part.input.context.windows = {window};
  }
  return parts;
}

int64_t CountTruncated(const std::vector<PreparedExample>& examples) {
  return std::count_if(
      examples.begin(), examples.end(),
      [](const PreparedExample& example) { return example.input.truncated; });
}

}  // namespace attune::worker
