#ifndef ATTUNE_WORKER_TASKS_GREEDY_DECODER_H_
#define ATTUNE_WORKER_TASKS_GREEDY_DECODER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The model's likeliest answers to `inputs`, token by token and all at once:
// what exact_match is measured on, whatever the task's decoding samples. An
// answer ends at the model's end of text, before a stop text, or after the
// task's max_new_tokens or where the context is full. `prompt`: null for the
// bare base model. `before_pass` is called before every
// pass through the model; its error ends the decoding.
absl::StatusOr<std::vector<std::string>> DecodeGreedily(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status()>& before_pass);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_GREEDY_DECODER_H_
