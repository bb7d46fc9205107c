#ifndef ATTUNE_WORKER_TASKS_ROW_KEY_H_
#define ATTUNE_WORKER_TASKS_ROW_KEY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "attune/v1/task.pb.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_program.h"

// Tells rows apart by what they ask and what is right. Pure functions.
namespace attune::worker {

// Half of a SHA-256: rows with equal keys say the same. A value.
struct RowKey {
  uint64_t high = 0;
  uint64_t low = 0;

  friend bool operator==(const RowKey&, const RowKey&) = default;
};

struct RowKeyHash {
  size_t operator()(const RowKey& key) const { return key.low; }
};

// What a row asks: the names and values of the fields that the template reads,
// nothing else. In texts, also those inside of lists and objects, white space
// at the ends does not count, and runs of white space (ASCII) inside count as
// one space. Equal numbers are equal however they are written; letters are
// upper or lower case. The words of a token classification are the same as a
// list and as a text. `fields`: a JSON object.
RowKey QuestionKey(const TaskProgram& program, std::string_view fields);

// What a text says, alone: white space as above, and letter case (ASCII) does
// not count either.
RowKey TextKey(std::string_view text);

// What a row asks and what is right: `question` and the answer. White space
// counts in answers as above; the order of labels, and of the answers of an
// extractive QA, which are compared as texts wherever they stand, does not.
RowKey WholeKey(const TaskProgram& program, const RowKey& question,
                const Example& example);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ROW_KEY_H_
