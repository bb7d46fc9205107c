#include "worker/metrics/mcnemar.h"

#include <algorithm>

namespace attune::worker {

double McNemarPValue(int64_t num_gained, int64_t num_lost) {
  const int64_t n = num_gained + num_lost;
  const int64_t rarer = std::min(num_gained, num_lost);
  // Binomial coefficients over n relative to the one in the middle, downwards,
  // each from the one before: sums of positive numbers, where differences of
  // logarithms of factorials would lose digits. They vanish some dozen
  // deviations off the middle, so a million rows take a few ten thousand steps.
  const int64_t middle = n / 2;
  double coefficient = 1;
  double half = 0;  // all up to the middle
  double tail = 0;  // all up to `rarer`
  for (int64_t k = middle; k >= 0 && coefficient > 0; --k) {
    half += coefficient;
    if (k <= rarer) tail += coefficient;
    coefficient *= static_cast<double>(k) / static_cast<double>(n - k + 1);
  }
  // The middle of an even n is in both halves.
  const double all = n % 2 == 0 ? 2 * half - 1 : 2 * half;
  return std::min(1.0, 2 * tail / all);
}

}  // namespace attune::worker
