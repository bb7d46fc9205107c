#include "worker/tasks/prepared_example.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

absl::StatusOr<PreparedExample> Prepare(const TaskProgram& program,
                                        const Example& example) {
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

int64_t CountTruncated(const std::vector<PreparedExample>& examples) {
  return std::count_if(
      examples.begin(), examples.end(),
      [](const PreparedExample& example) { return example.input.truncated; });
}

}  // namespace attune::worker
