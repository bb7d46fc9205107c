#ifndef ATTUNE_WORKER_METRICS_BOOTSTRAP_H_
#define ATTUNE_WORKER_METRICS_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"

namespace attune::worker {

// The percentile bootstrap (Efron 1979; Efron and Tibshirani 1993, chapter 13):
// how much a statistic of rows varies is read off draws of as many of the rows
// with replacement.

inline constexpr int kNumBootstrapDraws = 1000;

// Draws of row indices, always the same ones for a number of rows, on every
// machine: what is drawn for two metrics, or for two versions, are the same
// rows.
class RowDraws {
 public:
  explicit RowDraws(size_t num_rows);

  // num_rows indices in [0, num_rows). Valid until the next call.
  absl::Span<const int32_t> Next();

 private:
  uint64_t state_;
  std::vector<int32_t> rows_;
};

// The 2.5th and the 97.5th percentile, between values by straight lines, as
// numpy.percentile computes them. values: at least one.
attune::v1::MetricInterval PercentileInterval(std::vector<double> values);

// A number that can be had of any rows, given as indices that may repeat;
// absent where it has no meaning.
using RowStatistic =
    std::function<std::optional<double>(absl::Span<const int32_t> rows)>;

// Bounds of `statistic` over `num_rows` rows. Absent without rows, and if it
// has no meaning, or is not finite, on a draw.
std::optional<attune::v1::MetricInterval> BootstrapInterval(
    size_t num_rows, const RowStatistic& statistic);

// How much more the second of two statistics is than the first.
struct PairedBootstrap {
  attune::v1::MetricInterval interval;
  // Two-sided: twice the share of draws on the rarer side of no difference,
  // those without a difference on both. 0.002, the least that the draws can
  // tell, to 1.
  double p_value = 1;
};

// Both statistics are of the same rows in each draw, which takes out what makes
// rows hard for both. Absent as BootstrapInterval.
std::optional<PairedBootstrap> BootstrapDifference(size_t num_rows,
                                                   const RowStatistic& first,
                                                   const RowStatistic& second);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_BOOTSTRAP_H_
