#include "worker/metrics/report_intervals.h"

#include <cmath>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace attune::worker {

void AddIntervals(const RowMetrics& rows,
                  attune::v1::EvaluationReport& report) {
  if (rows.num_rows() == 0) return;
  std::map<std::string, std::vector<double>> draws_of;
  RowDraws draws(rows.num_rows());
  for (int i = 0; i < kNumBootstrapDraws; ++i) {
    MetricValues values;
    rows.Measure(draws.Next(), values);
    for (const auto& [name, value] : values) {
      // Distances only grow with what chance adds, so bounds of the calibration
      // error would lie above it.
      if (name == "ece") continue;
      if (std::isfinite(value)) draws_of[name].push_back(value);
    }
  }
  for (auto& [name, values] : draws_of) {
    if (values.size() == static_cast<size_t>(kNumBootstrapDraws)) {
      (*report.mutable_intervals())[name] =
          PercentileInterval(std::move(values));
    }
  }
}

std::optional<PairedBootstrap> DifferenceOf(const RowMetrics& first,
                                            const RowMetrics& second,
                                            const std::string& metric) {
  const auto statistic_of = [&](const RowMetrics& rows) {
    return [&](absl::Span<const int32_t> drawn) -> std::optional<double> {
      MetricValues values;
      rows.Measure(drawn, values);
      const auto found = values.find(metric);
      if (found == values.end()) return std::nullopt;
      return found->second;
    };
  };
  return BootstrapDifference(first.num_rows(), statistic_of(first),
                             statistic_of(second));
}

}  // namespace attune::worker
