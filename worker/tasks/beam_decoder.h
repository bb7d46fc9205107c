#ifndef ATTUNE_WORKER_TASKS_BEAM_DECODER_H_
#define ATTUNE_WORKER_TASKS_BEAM_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// How many sequences an answer to `task` takes while it is decoded: the beams
// of its search, 1 without one.
int64_t NumBeams(const attune::v1::TaskSpec& task);

// The answers to `inputs` that the beam search of the task's decoding chooses,
// all at once. Everything else is as in DecodeGreedily.
absl::StatusOr<std::vector<std::string>> DecodeByBeams(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status()>& before_pass);

// The answers to `inputs`, however many, by the task's beams or greedily, as
// many at once as the memory of keys and values takes. `before_pass` hears how
// many are done.
absl::StatusOr<std::vector<std::string>> DecodeInBatches(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status(size_t done)>& before_pass);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_BEAM_DECODER_H_
