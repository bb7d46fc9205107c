#include "client/output/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>

namespace attune::client {
namespace {

constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄",
                                                     "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 8> kLetters = {"_", ".", "-", "=",
                                                      "+", "*", "#", "@"};

// At most `columns` means of neighbours, in order.
std::vector<double> Condense(const std::vector<double>& values,
                             size_t columns) {
  if (values.size() <= columns) return values;
  std::vector<double> means;
  for (size_t i = 0; i < columns; ++i) {
    const size_t begin = i * values.size() / columns;
    const size_t end = (i + 1) * values.size() / columns;
    double mean = 0;
    for (size_t j = begin; j < end; ++j) {
      mean += values[j] / static_cast<double>(end - begin);
    }
    means.push_back(mean);
  }
  return means;
}

}  // namespace

std::string Sparkline(const std::vector<double>& values, int columns,
                      bool unicode) {
  const std::vector<double> bars =
      Condense(values, static_cast<size_t>(std::max(columns, 1)));
  double least = std::numeric_limits<double>::infinity();
  double greatest = -least;
  for (const double bar : bars) {
    if (!std::isfinite(bar)) continue;
    least = std::min(least, bar);
    greatest = std::max(greatest, bar);
  }
  const auto& levels = unicode ? kBlocks : kLetters;
  std::string line;
  for (const double bar : bars) {
    if (!std::isfinite(bar)) {
      line += ' ';
      continue;
    }
    // Halves: the range of doubles may be wider than a double.
    const double range = greatest / 2 - least / 2;
    const double height = range > 0 ? (bar / 2 - least / 2) / range : 0;
    line += levels[std::min(static_cast<size_t>(height * levels.size()),
                            levels.size() - 1)];
  }
  return line;
}

}  // namespace attune::client
