#include "worker/inference/batch_policy.h"

namespace attune::worker {

std::vector<size_t> ChooseInputs(const std::vector<WaitingInput>& waiting,
                                 int64_t running_generations,
                                 const BatchLimits& limits) {
  std::vector<size_t> chosen;
  int64_t rows = 0;
  int64_t places = limits.max_generations - running_generations;
  for (size_t i = 0; i < waiting.size(); ++i) {
    const WaitingInput& input = waiting[i];
    if (input.generation && places <= 0) {
      continue;
    }
    if (!chosen.empty() && rows + input.rows > limits.max_rows) {
      break;
    }
    chosen.push_back(i);
    rows += input.rows;
    places -= input.generation ? 1 : 0;
  }
  return chosen;
}

}  // namespace attune::worker
