#ifndef ATTUNE_WORKER_TASKS_SHOWN_TEXT_H_
#define ATTUNE_WORKER_TASKS_SHOWN_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

// Rows and answers as reports show them. Pure functions.
namespace attune::worker {

// The most bytes of an answer in a report, and of an input beside answers.
inline constexpr size_t kMaxShownBytes = 500;

// At most `max_bytes` (more than 16) of a text in whole characters: what is too
// much is left out in its middle.
std::string Abbreviated(std::string text, size_t max_bytes = kMaxShownBytes);

// What the tokens of an input say, without special tokens; rows of the prompt
// among them are shown as "[5 rows of the prompt]".
std::string DecodedInput(const TaskProgram& program, const TaskInput& input);

// The names of labels or tags.
std::string JoinLabels(const TaskProgram& program,
                       const std::vector<int>& labels, const char* separator);

// The right answer of a row, whatever the task.
std::string RightText(const TaskProgram& program,
                      const PreparedExample& example);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SHOWN_TEXT_H_
