#include "worker/tuning/data_order.h"

#include <numeric>

#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

// Keeps the orders of passes apart from the seed's other uses.
constexpr uint64_t kFirstStream = 1'000;

}  // namespace

DataOrder::DataOrder(int64_t num_rows, uint64_t seed)
    : num_rows_(num_rows), seed_(seed), order_(num_rows) {}

std::vector<size_t> DataOrder::Take(int64_t rows_taken, int64_t count) {
  std::vector<size_t> rows;
  for (int64_t i = rows_taken; i < rows_taken + count; ++i) {
    if (i / num_rows_ != pass_) {
      pass_ = i / num_rows_;
      std::iota(order_.begin(), order_.end(), size_t{0});
      SeededRandom(seed_, kFirstStream + static_cast<uint64_t>(pass_))
          .Shuffle(order_);
    }
    rows.push_back(order_[i % num_rows_]);
  }
  return rows;
}

}  // namespace attune::worker
