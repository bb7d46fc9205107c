#ifndef ATTUNE_WORKER_METRICS_TEXT_METRICS_H_
#define ATTUNE_WORKER_METRICS_TEXT_METRICS_H_

#include <string>
#include <vector>

namespace attune::worker {

// The share of answers equal to the right ones but for white space around
// them. 0 for no answers.
double ExactMatch(const std::vector<std::string>& right,
                  const std::vector<std::string>& given);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_TEXT_METRICS_H_
