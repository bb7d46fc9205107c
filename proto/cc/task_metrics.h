#ifndef ATTUNE_PROTO_CC_TASK_METRICS_H_
#define ATTUNE_PROTO_CC_TASK_METRICS_H_

#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/task.pb.h"

namespace attune {

// The metrics that may pick the best checkpoint of a task and that versions are
// compared by, the default first. None for a type that is not known.
std::vector<std::string> TaskMetrics(const v1::TaskSpec& task);

// Whether the metric of that name is the better the smaller it is.
bool LowerIsBetter(std::string_view metric);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_TASK_METRICS_H_
