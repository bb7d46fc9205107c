#include "client/output/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/output/figures.h"

namespace attune::client {
namespace {

// Larger numbers would leave the range of doubles in differences.
constexpr double kLargest = 1e300;
// Below this share of its numbers a range is rounding, not difference.
constexpr double kSmallestShare = 1e-9;

// Finite, in order, and apart.
std::pair<double, double> SaneRange(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) return {0, 1};
  if (low > high) std::swap(low, high);
  low = std::clamp(low, -kLargest, kLargest);
  high = std::clamp(high, -kLargest, kLargest);
  const double size = std::max(std::abs(low), std::abs(high));
  if (size == 0) return {0, 1};
  if (high - low > size * kSmallestShare) return {low, high};
  return {low - size / 10, high + size / 10};
}

double RoundStep(double range, int max_ticks) {
  const double least = range / std::max(max_ticks - 1, 1);
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1, 2, 5}) {
    if (power * factor >= least * (1 - kSmallestShare)) return power * factor;
  }
  return power * 10;
}

}  // namespace

Axis::Axis(double low, double high, double step)
    : low_(low), high_(high), step_(step) {
  const double slack = step * 1e-6;
  const double first = std::ceil((low - slack) / step);
  for (int i = 0;; ++i) {
    const double tick = (first + i) * step;
    if (tick > high + slack) break;
    ticks_.push_back(tick == 0 ? 0 : tick);  // no -0
  }
}

Axis Axis::Rounded(double least, double greatest, int max_ticks) {
  const auto [low, high] = SaneRange(least, greatest);
  const double step = RoundStep(high - low, max_ticks);
  // A bound that is a tick stays, though division may put it beside.
  return Axis(std::floor(low / step + 1e-6) * step,
              std::ceil(high / step - 1e-6) * step, step);
}

Axis Axis::Exact(double low, double high, int max_ticks) {
  const auto [from, to] = SaneRange(low, high);
  return Axis(from, to, RoundStep(to - from, max_ticks));
}

std::string Axis::Label(double tick) const {
  const double size = std::max(std::abs(low_), std::abs(high_));
  if (size >= 1e7 || step_ < 1e-4) {
    return tick == 0 ? "0" : absl::StrFormat("%.3g", tick);
  }
  if (step_ >= 1) return FormatCount(static_cast<int64_t>(std::round(tick)));
  const int decimals = static_cast<int>(std::ceil(-std::log10(step_) - 1e-6));
  return absl::StrFormat("%.*f", decimals, tick);
}

double Axis::Place(double value, double from, double to) const {
  const double share =
      std::isfinite(value)
          ? std::clamp((value - low_) / (high_ - low_), 0.0, 1.0)
          : 0;
  return from + share * (to - from);
}

}  // namespace attune::client
