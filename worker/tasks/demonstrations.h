#ifndef ATTUNE_WORKER_TASKS_DEMONSTRATIONS_H_
#define ATTUNE_WORKER_TASKS_DEMONSTRATIONS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/method.pb.h"
#include "attune/v1/task.pb.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The training rows that the resolved `method` shows before every input, in
// their order. Equal arguments give equal rows. Together they have at most half
// of the tokens that `program`, the task without demonstrations, has room for;
// rows beyond that are passed over, so that there may be fewer than asked for.
//
// With SELECTION_NEAREST the rows among which each input's nearest are found,
// in the order of `train`: one of those that ask the same (QuestionKey), none
// that alone has more than those tokens. Where a task can't list all of them
// `seed` draws.
//
// The error of a row that cannot be rendered, with "row N: " before it.
absl::StatusOr<std::vector<attune::v1::Demonstration>> ChooseDemonstrations(
    const TaskProgram& program, absl::Span<const Example> train,
    const attune::v1::HardPrompt& method, uint64_t seed);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_DEMONSTRATIONS_H_
