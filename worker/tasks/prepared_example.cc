#include "worker/tasks/prepared_example.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/row_answer.h"

namespace attune::worker {
namespace {

absl::StatusOr<PreparedExample> PrepareTagged(const TaskProgram& program,
                                              const Example& example) {
  PreparedExample prepared;
  prepared.row = example.row;
  prepared.answer = example.answer;
  ATTUNE_ASSIGN_OR_RETURN(
      prepared.input,
      program.PrepareInput(example.fields, /*answer_tokens=*/0));
  for (const std::string& tag : SplitTags(example.answer)) {
    const std::optional<int> label = program.FindLabel(tag);
    if (!label.has_value()) {
      return MakeError(
          Reason::kInvalidData,
          Concat("tag '", tag, "' is not among the task's labels"));
    }
    prepared.tags.push_back(*label);
  }
  const size_t num_words = prepared.input.words.words.size();
  if (prepared.tags.size() != num_words) {
    return MakeError(
        Reason::kInvalidData,
        Concat("field '", program.task().tokens_field(), "' has ", num_words,
               " words, but field '", program.task().answer_field(), "' has ",
               prepared.tags.size(), " tags"));
  }
  return prepared;
}

// A row whose answer is any number of labels, or a number.
absl::StatusOr<PreparedExample> PrepareForHead(const TaskProgram& program,
                                               const Example& example) {
  PreparedExample prepared;
  prepared.row = example.row;
  prepared.answer = example.answer;
  ATTUNE_ASSIGN_OR_RETURN(
      prepared.input,
      program.PrepareInput(example.fields, /*answer_tokens=*/0));
  if (program.is_regression()) {
    prepared.number = NumberOf(example.answer);
    return prepared;
  }
  for (const std::string& name : SplitLabels(example.answer)) {
    const std::optional<int> label = program.FindLabel(name);
    if (!label.has_value()) {
      return MakeError(
          Reason::kInvalidData,
          Concat("label '", name, "' is not among the task's labels"));
    }
    prepared.labels.push_back(*label);
  }
  return prepared;
}

absl::StatusOr<PreparedExample> Prepare(const TaskProgram& program,
                                        const Example& example) {
  if (program.is_tagging()) return PrepareTagged(program, example);
  if (program.is_label_set() || program.is_regression()) {
    return PrepareForHead(program, example);
  }
  PreparedExample prepared;
  prepared.row = example.row;
  prepared.answer = example.answer;
  if (program.is_classification()) {
    const std::optional<int> label = program.FindLabel(example.answer);
    if (!label.has_value()) {
      return MakeError(Reason::kInvalidData,
                       Concat("label '", example.answer,
                              "' is not among the task's labels"));
    }
    prepared.label = *label;
    ATTUNE_ASSIGN_OR_RETURN(
        prepared.input,
        program.PrepareInput(example.fields, /*answer_tokens=*/1));
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
    return MakeError(Reason::kInputTooLong,
                     Concat("the answer has ", prepared.answer_ids.size(),
                            " tokens; the model's context takes ", places));
  }
  return prepared;
}

constexpr size_t kRowsBetweenPauses = 128;

}  // namespace

absl::StatusOr<std::vector<PreparedExample>> PrepareExamples(
    const TaskProgram& program, const std::vector<Example>& examples,
    const std::function<void()>& pause) {
  std::vector<PreparedExample> prepared;
  prepared.reserve(examples.size());
  for (const Example& example : examples) {
    if (pause && prepared.size() % kRowsBetweenPauses == 0) pause();
    absl::StatusOr<PreparedExample> one = Prepare(program, example);
    if (!one.ok()) {
      return WithContext(one.status(), Concat("row ", example.row));
    }
    prepared.push_back(*std::move(one));
  }
  return prepared;
}

double PreparedExample::weight() const {
  if (!answer_ids.empty()) return static_cast<double>(answer_ids.size());
  return tags.empty() ? 1 : CountWordsRead(input.words.words);
}

int64_t CountTruncated(const std::vector<PreparedExample>& examples) {
  return std::count_if(
      examples.begin(), examples.end(),
      [](const PreparedExample& example) { return example.input.truncated; });
}

}  // namespace attune::worker
