#ifndef ATTUNE_WORKER_TASKS_LABEL_TEXTS_H_
#define ATTUNE_WORKER_TASKS_LABEL_TEXTS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/tasks/row_key.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

inline constexpr size_t kMaxLabelTextBytes = 4096;

// What rows say of labels, and what they say at all. A value.
struct LabelTexts {
  // Of each label that was asked for the texts of its training rows, in their
  // order: white space at their ends is gone and runs of it are one space each,
  // so that each is one line, of which the first kMaxLabelTextBytes are there.
  // None is empty.
  std::vector<std::vector<std::string>> texts;
  // TextKey of every row, whatever its split.
  std::unordered_set<RowKey, RowKeyHash> keys;
};

// Reads the field `text_field` of `rows` (JSON objects) of a classification.
// `labels`: of the task. Calls `pause` now and then; its error ends the
// reading. INVALID_ARGUMENT (kInvalidData) naming row and field: as of
// ReadSplitExamples, a label that is not among the task's, or a row of a label
// that was asked for whose text is missing or no text. FAILED_PRECONDITION
// (kIllegalState) naming the labels without texts, or where no row is for
// training.
absl::StatusOr<LabelTexts> ReadLabelTexts(
    const TaskProgram& program, absl::Span<const std::string> rows,
    absl::Span<const std::string> labels, const std::string& text_field,
    const std::function<absl::Status()>& pause);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_TEXTS_H_
