#ifndef ATTUNE_WORKER_METRICS_MCNEMAR_H_
#define ATTUNE_WORKER_METRICS_MCNEMAR_H_

#include <cstdint>

namespace attune::worker {

// How likely at least so uneven a split of the rows that only one of two
// versions answers rightly is, if it is up to a fair coin which one does:
// McNemar's test (1947) in its exact, two-sided form, as mcnemar(exact=True) of
// statsmodels. 0 to 1; 1 without such rows. Counts are not negative.
double McNemarPValue(int64_t num_gained, int64_t num_lost);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_MCNEMAR_H_
