#ifndef ATTUNE_WORKER_TASKS_TASK_INPUT_H_
#define ATTUNE_WORKER_TASKS_TASK_INPUT_H_

#include <cstdint>
#include <vector>

#include "worker/tasks/input_choices.h"
#include "worker/tasks/input_spans.h"
#include "worker/tasks/input_words.h"

namespace attune::worker {

// An input as the model gets it.
struct TaskInput {
  std::vector<int64_t> ids;  // at least one
  bool truncated = false;
  int64_t num_whole_tokens = 0;  // of the text before it was cut
  // Answers do not follow the text with a space of their own: it ends in white
  // space or is a chat turn, or the answer stands apart.
  bool bare_answer = false;
  InputText words = {};       // of a token classification
  InputContext context = {};  // of an extractive QA; ids are its first window's
  InputChoices choices = {};  // of a multiple choice; not among ids

  // Tokens that the model reads.
  int64_t num_tokens() const {
    return context.windows.empty() ? static_cast<int64_t>(ids.size())
                                   : context.num_tokens();
  }
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_INPUT_H_
