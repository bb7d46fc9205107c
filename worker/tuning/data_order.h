#ifndef ATTUNE_WORKER_TUNING_DATA_ORDER_H_
#define ATTUNE_WORKER_TUNING_DATA_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attune::worker {

// The endless sequence of training rows: pass after pass over all rows, each in
// an order of its own that follows from the seed. A position is the number of
// rows taken so far, so it is all that has to be stored. Not thread-safe.
class DataOrder {
 public:
  // `num_rows` > 0.
  DataOrder(int64_t num_rows, uint64_t seed);

  // The `count` rows that follow on the first `rows_taken` of the sequence.
  std::vector<size_t> Take(int64_t rows_taken, int64_t count);

 private:
  const int64_t num_rows_;
  const uint64_t seed_;
  int64_t pass_ = -1;  // the pass that order_ belongs to
  std::vector<size_t> order_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_DATA_ORDER_H_
