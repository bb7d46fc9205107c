#ifndef ATTUNE_WORKER_TASKS_DATA_WARNINGS_H_
#define ATTUNE_WORKER_TASKS_DATA_WARNINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "worker/tasks/split_audit.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// Duplicates are worth a warning from this share of a split's rows on: a few
// are in every set of rows.
inline constexpr double kMaxDuplicateShare = 0.01;
// A label is rare when it has less than this part of the rows it would have if
// all labels had as many.
inline constexpr double kRareLabelShare = 0.1;

// Something about the rows that deserves a person's attention.
struct DataWarning {
  int64_t row = 0;  // the first row that it is about; 0: about none
  int64_t num_rows = 0;
  std::string message;
};

// Duplicates, contradictions, rows that training sees and that are measured on
// too, inputs without room for all of their nearest demonstrations, labels
// without rows and rare ones. Several right answers to one input
// are usual for a generation, rare tags for a token classification: they are
// left out.
std::vector<DataWarning> FindDataWarnings(const TaskProgram& program,
                                          absl::Span<const SplitAudit> audits);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_DATA_WARNINGS_H_
