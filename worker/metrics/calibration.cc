#include "worker/metrics/calibration.h"

#include <cmath>
#include <numeric>

#include "worker/metrics/class_quality.h"

namespace attune::worker {
namespace {

constexpr int kNumBins = 10;

// Bin b is (b / 10, (b + 1) / 10]; the first one has 0, too, and the last what
// rounding makes of 1.
int BinOf(double confidence) {
  int bin = 0;
  while (bin + 1 < kNumBins &&
         confidence > static_cast<double>(bin + 1) / kNumBins) {
    ++bin;
  }
  return bin;
}

double SquaredError(const std::vector<double>& probabilities, int right) {
  double sum = 0;
  for (size_t label = 0; label < probabilities.size(); ++label) {
    const double target = static_cast<int>(label) == right ? 1 : 0;
    sum += (probabilities[label] - target) * (probabilities[label] - target);
  }
  return sum;
}

}  // namespace

CalibrationRows::CalibrationRows(
    absl::Span<const int> right, absl::Span<const int> given,
    absl::Span<const std::vector<double>> probabilities) {
  squared_errors_.reserve(right.size());
  confidences_.reserve(right.size());
  bins_.reserve(right.size());
  is_right_.reserve(right.size());
  for (size_t i = 0; i < right.size(); ++i) {
    squared_errors_.push_back(SquaredError(probabilities[i], right[i]));
    confidences_.push_back(probabilities[i][given[i]]);
    bins_.push_back(BinOf(confidences_.back()));
    is_right_.push_back(right[i] == given[i]);
  }
}

std::vector<CalibrationRows::Bin> CalibrationRows::BinsOf(
    absl::Span<const int32_t> rows) const {
  std::vector<Bin> bins(kNumBins);
  for (const int32_t row : rows) {
    Bin& bin = bins[bins_[row]];
    bin.confidence += confidences_[row];
    bin.num_right += is_right_[row];
    ++bin.num_rows;
  }
  return bins;
}

void CalibrationRows::Measure(absl::Span<const int32_t> rows,
                              MetricValues& values) const {
  const auto count = static_cast<double>(rows.size());
  double distances = 0;
  for (const Bin& bin : BinsOf(rows)) {
    distances += std::abs(bin.confidence - static_cast<double>(bin.num_right));
  }
  values["ece"] = Ratio(distances, count);
  double squares = 0;
  for (const int32_t row : rows) squares += squared_errors_[row];
  values["brier"] = Ratio(squares, count);
}

void CalibrationRows::AddReliability(
    attune::v1::EvaluationReport& report) const {
  std::vector<int32_t> rows(num_rows());
  std::iota(rows.begin(), rows.end(), 0);
  for (const Bin& bin : BinsOf(rows)) {
    if (bin.num_rows == 0) continue;
    const auto count = static_cast<double>(bin.num_rows);
    attune::v1::ReliabilityBin& added = *report.add_reliability();
    added.set_confidence(bin.confidence / count);
    added.set_accuracy(static_cast<double>(bin.num_right) / count);
    added.set_num_rows(bin.num_rows);
  }
}

}  // namespace attune::worker
