#ifndef ATTUNE_WORKER_TASKS_RENDERED_SAMPLE_H_
#define ATTUNE_WORKER_TASKS_RENDERED_SAMPLE_H_

#include <string>
#include <vector>

#include "attune/v1/report.pb.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// At most `count` rows of a split as the model sees them, evenly spread over
// it, in their order.
std::vector<attune::v1::RenderedSample> RenderSamples(
    const TaskProgram& program, const std::string& split,
    const std::vector<PreparedExample>& rows, int count);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_RENDERED_SAMPLE_H_
