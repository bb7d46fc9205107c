#ifndef ATTUNE_WORKER_TASKS_TASK_INPUT_H_
#define ATTUNE_WORKER_TASKS_TASK_INPUT_H_

#include <cstdint>
#include <vector>

#include "worker/tasks/input_choices.h"
#include "worker/tasks/input_spans.h"
#include "worker/tasks/input_words.h"
#include "worker/tasks/prompt_marks.h"

namespace attune::worker {

// An input as the model gets it.
struct TaskInput {
  std::vector<int64_t> ids;  // at least one
  bool truncated = false;
  int64_t num_whole_tokens = 0;  // of the text before it was cut
  // Answers do not follow the text with a space of their own: it ends in white
  // space or is a chat turn, or the answer stands apart.
  bool bare_answer = false;
  int num_left_out = 0;  // nearest demonstrations without room
  // Of the mask's token among ids, where label words are weighed at one.
  int64_t mask_place = -1;
  InputText words = {};       // of a token classification
  InputContext context = {};  // of an extractive QA; ids are its first window's
  InputChoices choices = {};  // of a multiple choice; not among ids
  // The same row as the further templates of the task make it.
  std::vector<TaskInput> others = {};

  // Tokens that the model reads, without rows of the prompt.
  int64_t num_tokens() const {
    return context.windows.empty() ? CountTokens(ids) : context.num_tokens();
  }
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_INPUT_H_
