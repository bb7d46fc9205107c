#ifndef ATTUNE_WORKER_TASKS_SPLIT_AUDIT_H_
#define ATTUNE_WORKER_TASKS_SPLIT_AUDIT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "attune/v1/report.pb.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What a split is made of, and where to look: rows of the dataset, counted from
// 1; 0 where there is none.
struct SplitAudit {
  attune::v1::SplitSummary summary;
  int64_t first_truncated_row = 0;
  int64_t first_duplicate_row = 0;
  int64_t first_contradictory_row = 0;
  int64_t first_leaked_row = 0;
  // Of a generation: rows whose answer has more tokens than are generated.
  int64_t num_unreachable_rows = 0;
  int64_t first_unreachable_row = 0;
  // Rows without room for all of their nearest demonstrations.
  int64_t num_crowded_rows = 0;
  int64_t first_crowded_row = 0;
};

// A split to look at. Borrows.
struct SplitToAudit {
  std::string name;
  const std::vector<Example>& rows;
  // Those of the rows that could be prepared; none where nothing reads them.
  const std::vector<PreparedExample>& prepared;
  // Whether training sees the rows.
  bool is_trained_on = false;
};

// Looks at `splits`, in their order, in a time that grows as the rows do. Which
// rows say or ask the same is told in row_key.h; training sees the
// demonstrations of the task, too, unless they are the nearest ones: those that
// ask the same stand before no input. `pause` may be empty; it is called now
// and then.
std::vector<SplitAudit> AuditSplits(
    const TaskProgram& program, const std::vector<SplitToAudit>& splits,
    const std::function<void()>& pause = nullptr);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SPLIT_AUDIT_H_
