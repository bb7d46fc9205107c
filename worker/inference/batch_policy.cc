#include "worker/inference/batch_policy.h"

namespace attune::worker {

std::vector<size_t> ChooseInputs(const std::vector<WaitingInput>& waiting,
                                 int64_t running_sequences,
                                 const BatchLimits& limits) {
  std::vector<size_t> chosen;
  int64_t rows = 0;
  int64_t running = running_sequences;
  bool generations_wait = false;
  for (size_t i = 0; i < waiting.size(); ++i) {
    const WaitingInput& input = waiting[i];
    // Narrow generations that passed a wide one could keep it out for good.
    generations_wait |= input.sequences > 0 && running > 0 &&
                        running + input.sequences > limits.max_generations;
    if (input.sequences > 0 && generations_wait) {
      continue;
    }
    if (!chosen.empty() && rows + input.rows > limits.max_rows) {
      break;
    }
    chosen.push_back(i);
    rows += input.rows;
    running += input.sequences;
  }
  return chosen;
}

}  // namespace attune::worker
