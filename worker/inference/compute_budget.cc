#include "worker/inference/compute_budget.h"

#include <algorithm>

namespace attune::worker {

int ComputeBudget::TrainingThreads() const {
  return serving_ > 0 ? std::max(1, total_ - 1) : total_;
}

int ComputeBudget::ServingThreads() const { return training_ > 0 ? 1 : total_; }

}  // namespace attune::worker
