#ifndef ATTUNE_WORKER_METRICS_DISTINCT_N_H_
#define ATTUNE_WORKER_METRICS_DISTINCT_N_H_

#include <string>

#include "absl/types/span.h"

namespace attune::worker {

// How varied answers are, 0 to 1 (Li et al. 2016): different words, and
// different pairs of neighbouring words, each divided by the number of words.
struct DistinctShares {
  double distinct_1 = 0;
  double distinct_2 = 0;
};

// Of all answers together; white space separates words, and no pair reaches
// from one answer into the next. 0 without words.
DistinctShares DistinctSharesOf(absl::Span<const std::string> answers);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_DISTINCT_N_H_
