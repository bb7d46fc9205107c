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

  // An order in which the batches of `batch_size` rows that begin at multiples
  // of it have rows of about one length each. Which lengths come when is as
  // random as before: among the rows of 16 batches of a shuffled pass those of
  // one length are put together, then these batches are shuffled. Rows of a
  // pass that fill no batch of its own stay as they were. lengths: of each row,
  // at least one.
  DataOrder(std::vector<int64_t> lengths, int64_t batch_size, uint64_t seed);

  // An order in which every run of rows has the labels in about the shares that
  // they have among all rows: each label's rows are shuffled and spread evenly
  // over the pass, from a random place on. labels: of each row, from 0 on, at
  // least one row.
  DataOrder(const std::vector<int>& labels, uint64_t seed);

  // The `count` rows that follow on the first `rows_taken` of the sequence.
  std::vector<size_t> Take(int64_t rows_taken, int64_t count);

 private:
  void MakePass(int64_t pass);

  const int64_t num_rows_;
  const uint64_t seed_;
  const std::vector<int64_t> lengths_;  // empty: lengths do not matter
  const int64_t batch_size_ = 0;        // 0: as above
  // The rows of each label; empty: labels do not matter.
  const std::vector<std::vector<size_t>> rows_of_label_;
  int64_t pass_ = -1;  // the pass that order_ belongs to
  std::vector<size_t> order_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_DATA_ORDER_H_
