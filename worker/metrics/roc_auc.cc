#include "worker/metrics/roc_auc.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace attune::worker {

RocAuc::RocAuc(absl::Span<const int> right,
               absl::Span<const std::vector<double>> probabilities)
    : right_(right.begin(), right.end()),
      num_labels_(probabilities.empty() ? 0 : probabilities[0].size()) {
  // Of two labels, one tells all.
  for (size_t label = num_labels_ == 2 ? 1 : 0; label < num_labels_; ++label) {
    orders_.push_back(OrderBy(static_cast<int>(label), probabilities));
  }
}

RocAuc::LabelOrder RocAuc::OrderBy(
    int label, absl::Span<const std::vector<double>> probabilities) const {
  std::vector<std::pair<double, int32_t>> sorted;
  for (size_t row = 0; row < right_.size(); ++row) {
    const double probability = probabilities[row][label];
    sorted.emplace_back(std::isnan(probability) ? 0 : -probability, row);
  }
  std::sort(sorted.begin(), sorted.end());
  LabelOrder order;
  order.label = label;
  for (const auto& [probability, row] : sorted) order.rows.push_back(row);
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin;
    bool has_label = false;
    while (end < sorted.size() && sorted[end].first == sorted[begin].first) {
      has_label = has_label || right_[sorted[end].second] == label;
      ++end;
    }
    if (has_label) order.ties.push_back({.begin = begin, .end = end});
    begin = end;
  }
  return order;
}

double RocAuc::AreaOf(const LabelOrder& order,
                      const std::vector<int32_t>& times, double num_label,
                      double num_others) const {
  // Rows of other labels that are above those of the label, for each of these.
  // Good models have few: what is below the last row of the label is not read.
  double above = 0;
  int64_t others = 0;
  size_t read = 0;
  for (const Tie& tie : order.ties) {
    for (; read < tie.begin; ++read) others += times[order.rows[read]];
    int64_t tied_label = 0;
    int64_t tied_others = 0;
    for (; read < tie.end; ++read) {
      const int32_t row = order.rows[read];
      (right_[row] == order.label ? tied_label : tied_others) += times[row];
    }
    above +=
        static_cast<double>(tied_label) *
        (static_cast<double>(others) + static_cast<double>(tied_others) / 2);
    others += tied_others;
  }
  return 1 - above / (num_label * num_others);
}

std::optional<double> RocAuc::Of(absl::Span<const int32_t> rows) const {
  std::vector<int32_t> times(right_.size(), 0);
  std::vector<int64_t> num_right(num_labels_, 0);
  for (const int32_t row : rows) {
    ++times[row];
    ++num_right[right_[row]];
  }
  const auto num_rows = static_cast<int64_t>(rows.size());
  for (const int64_t count : num_right) {
    if (count == 0 || count == num_rows) return std::nullopt;
  }
  if (orders_.empty()) return std::nullopt;
  double sum = 0;
  for (const LabelOrder& order : orders_) {
    const int64_t count = num_right[order.label];
    sum += AreaOf(order, times, static_cast<double>(count),
                  static_cast<double>(num_rows - count));
  }
  return sum / static_cast<double>(orders_.size());
}

}  // namespace attune::worker
