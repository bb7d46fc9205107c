#include "worker/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace attune::worker {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kLowShare = 0.025;
constexpr double kHighShare = 0.975;

// SplitMix64 (Steele, Lea and Flood 2014).
uint64_t NextRandom(uint64_t& state) {
  uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

double Percentile(absl::Span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

// Of all draws, or nothing if one has no meaning.
std::vector<double> DrawAll(size_t num_rows, const RowStatistic& statistic) {
  std::vector<double> values;
  if (num_rows == 0) return values;
  RowDraws draws(num_rows);
  for (int i = 0; i < kNumBootstrapDraws; ++i) {
    const std::optional<double> value = statistic(draws.Next());
    if (!value.has_value() || !std::isfinite(*value)) return {};
    values.push_back(*value);
  }
  return values;
}

}  // namespace

RowDraws::RowDraws(size_t num_rows) : state_(kSeed), rows_(num_rows) {}

absl::Span<const int32_t> RowDraws::Next() {
  const uint64_t num_rows = rows_.size();
  for (int32_t& row : rows_) {
    // Of 32 random bits: 2 billion rows at most, the bias is below counting.
    row = static_cast<int32_t>((NextRandom(state_) >> 32) * num_rows >> 32);
  }
  return rows_;
}

attune::v1::MetricInterval PercentileInterval(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  attune::v1::MetricInterval interval;
  interval.set_low(Percentile(values, kLowShare));
  interval.set_high(Percentile(values, kHighShare));
  return interval;
}

std::optional<attune::v1::MetricInterval> BootstrapInterval(
    size_t num_rows, const RowStatistic& statistic) {
  std::vector<double> values = DrawAll(num_rows, statistic);
  if (values.empty()) return std::nullopt;
  return PercentileInterval(std::move(values));
}

std::optional<PairedBootstrap> BootstrapDifference(size_t num_rows,
                                                   const RowStatistic& first,
                                                   const RowStatistic& second) {
  std::vector<double> differences =
      DrawAll(num_rows, [&](absl::Span<const int32_t> rows) {
        std::optional<double> difference = second(rows);
        const std::optional<double> from = first(rows);
        if (!from.has_value()) return from;
        if (difference.has_value()) *difference -= *from;
        return difference;
      });
  if (differences.empty()) return std::nullopt;
  const auto count_if = [&](auto predicate) {
    return static_cast<double>(
        std::count_if(differences.begin(), differences.end(), predicate));
  };
  const double rarer = std::min(count_if([](double d) { return d <= 0; }),
                                count_if([](double d) { return d >= 0; }));
  PairedBootstrap result;
  result.p_value =
      std::clamp(2 * std::max(rarer, 1.0) / kNumBootstrapDraws, 0.0, 1.0);
  result.interval = PercentileInterval(std::move(differences));
  return result;
}

}  // namespace attune::worker
