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
  // Sequences of generations that run at the same time; each beam of a beam
  // search is one.
  int64_t max_generations = 16;
};

// An input that waits.
struct WaitingInput {
  int64_t rows = 0;  // rows it adds to a pass
  // Sequences that a generation runs until it has ended; 0: no generation.
  int64_t sequences = 0;
};

// Chooses the inputs of the next pass, as ascending indices into `waiting`
// (oldest first). None overtakes another, except that classifications pass
// generations that wait for free places. An input with more than max_rows is
// taken alone; a generation with more than max_generations sequences begins
// when no other one runs. `running_sequences`: of the generations under way.
std::vector<size_t> ChooseInputs(const std::vector<WaitingInput>& waiting,
                                 int64_t running_sequences,
                                 const BatchLimits& limits);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_BATCH_POLICY_H_
