#ifndef ATTUNE_WORKER_INFERENCE_BATCH_POLICY_H_
#define ATTUNE_WORKER_INFERENCE_BATCH_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attune::worker {

// What one pass of the engine may hold.
struct BatchLimits {
  // Rows of new inputs in one pass. Bounds how long running generations wait
  // for their next token.
  int64_t max_rows = 1024;
  // Generations that run at the same time.
  int64_t max_generations = 16;
};

// An input that waits.
struct WaitingInput {
  int64_t rows = 0;         // rows it adds to a pass
  bool generation = false;  // takes a place until it has ended
};

// Chooses the inputs of the next pass, as ascending indices into `waiting`
// (oldest first). None overtakes another, except that classifications pass
// generations that wait for a free place. An input with more than max_rows is
// taken alone.
std::vector<size_t> ChooseInputs(const std::vector<WaitingInput>& waiting,
                                 int64_t running_generations,
                                 const BatchLimits& limits);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_BATCH_POLICY_H_
