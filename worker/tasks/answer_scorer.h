#ifndef ATTUNE_WORKER_TASKS_ANSWER_SCORER_H_
#define ATTUNE_WORKER_TASKS_ANSWER_SCORER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/base_model.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// An input whose labels or choices are weighed. Borrows what it points to.
struct ScoredInput {
  // Of a classification by one label or a multiple choice; never null.
  const TaskProgram* program = nullptr;
  const TaskInput* input = nullptr;  // of `program`; never null
  // Null: the bare base model. Not where a head weighs.
  const AttachedPrompt* prompt = nullptr;
};

// Natural logarithms of the probabilities of all labels, or choices, of each
// input, in one forward of `model`. What weighs them (label words behind a text
// or at a mask, a head, choices) is the same for all inputs. Of a task with
// several templates a probability is the mean of what they give it. Errors of
// the scorers.
absl::StatusOr<std::vector<std::vector<double>>> ScoreAnswers(
    const BaseModel& model, absl::Span<const ScoredInput> inputs);

// Rows that ScoreAnswers runs for an input, for those who limit a batch.
int64_t NumAnswerRows(const ScoredInput& input);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ANSWER_SCORER_H_
