#include "worker/tuning/training_series.h"

#include <cmath>
#include <set>
#include <string_view>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// More than this worker writes: what a checkpoint may hold.
constexpr int kMaxSeries = 64;

// What becomes of the values of one point.
enum class PointValue { kMean, kLast };

v1::SeriesState& FindOrAddSeries(std::string_view name,
                                 v1::CheckpointManifest& progress) {
  for (v1::SeriesState& series : *progress.mutable_series()) {
    if (series.name() == name) return series;
  }
  v1::SeriesState& series = *progress.add_series();
  series.set_name(std::string(name));
  series.set_values_per_point(1);
  return series;
}

// Two points become one, so a point to come is made of twice as many values.
void HalveSeries(PointValue point, v1::SeriesState& series) {
  const int half = series.values_size() / 2;
  for (int i = 0; i < half; ++i) {
    const double first = series.values(2 * i);
    const double second = series.values(2 * i + 1);
    series.set_values(
        i, point == PointValue::kMean ? first / 2 + second / 2 : second);
    series.set_steps(i, series.steps(2 * i + 1));
  }
  series.mutable_values()->Truncate(half);
  series.mutable_steps()->Truncate(half);
  series.set_values_per_point(2 * series.values_per_point());
}

void AddValue(std::string_view name, PointValue point, double value,
              v1::CheckpointManifest& progress) {
  if (!std::isfinite(value)) return;
  v1::SeriesState& series = FindOrAddSeries(name, progress);
  const int count = series.num_pending() + 1;
  const double before = series.pending_value();
  // A running mean stays finite where a sum might not.
  const double pending = point == PointValue::kMean
                             ? before + (value / count - before / count)
                             : value;
  if (count < series.values_per_point()) {
    series.set_num_pending(count);
    series.set_pending_step(progress.step());
    series.set_pending_value(pending);
    return;
  }
  series.add_steps(progress.step());
  series.add_values(pending);
  series.set_num_pending(0);
  series.set_pending_step(0);
  series.set_pending_value(0);
  if (series.steps_size() == kMaxSeriesPoints) HalveSeries(point, series);
}

bool PointsAreOrdered(const v1::SeriesState& series, int last_step) {
  int step = 0;
  for (int i = 0; i < series.steps_size(); ++i) {
    if (series.steps(i) <= step || !std::isfinite(series.values(i))) {
      return false;
    }
    step = series.steps(i);
  }
  if (series.num_pending() > 0) {
    if (series.pending_step() <= step) return false;
    step = series.pending_step();
  }
  return step <= last_step && std::isfinite(series.pending_value());
}

bool IsSeries(const v1::SeriesState& series, int last_step) {
  const int per_point = series.values_per_point();
  const bool is_power = per_point > 0 && (per_point & (per_point - 1)) == 0;
  return !series.name().empty() && is_power &&
         series.steps_size() == series.values_size() &&
         series.steps_size() < kMaxSeriesPoints && series.num_pending() >= 0 &&
         series.num_pending() < per_point &&
         PointsAreOrdered(series, last_step);
}

}  // namespace

void RecordStep(const StepFacts& step, double remaining_seconds,
                v1::CheckpointManifest& progress) {
  AddValue("loss", PointValue::kMean, step.loss, progress);
  AddValue("learning_rate", PointValue::kLast, step.learning_rate, progress);
  AddValue("grad_norm", PointValue::kMean, step.grad_norm, progress);
  if (step.front.has_value()) {
    AddValue("prompt_norm", PointValue::kLast, step.front->norm, progress);
    AddValue("prompt_drift", PointValue::kLast, step.front->drift, progress);
  }
  const double seconds = absl::ToDoubleSeconds(step.duration);
  if (seconds > 0) {
    AddValue("tokens_per_second", PointValue::kMean,
             static_cast<double>(step.num_rows) / seconds, progress);
  }
  AddValue("training_seconds", PointValue::kLast, progress.training_seconds(),
           progress);
  if (remaining_seconds > 0) {
    AddValue("remaining_seconds", PointValue::kLast, remaining_seconds,
             progress);
  }
}

void RecordValidation(const std::string& metric_name, double metric,
                      double loss, v1::CheckpointManifest& progress) {
  AddValue("validation_loss", PointValue::kMean, loss, progress);
  if (metric_name != "loss") {
    AddValue(Concat("validation_", metric_name), PointValue::kMean, metric,
             progress);
  }
}

std::vector<attune::v1::TrainingSeries> SeriesOf(
    const v1::CheckpointManifest& progress) {
  std::vector<attune::v1::TrainingSeries> all;
  for (const v1::SeriesState& state : progress.series()) {
    attune::v1::TrainingSeries& series = all.emplace_back();
    series.set_name(state.name());
    *series.mutable_steps() = state.steps();
    *series.mutable_values() = state.values();
    if (state.num_pending() > 0) {
      series.add_steps(state.pending_step());
      series.add_values(state.pending_value());
    }
  }
  return all;
}

std::optional<std::string> FindSeriesFault(
    const v1::CheckpointManifest& progress) {
  if (progress.series_size() > kMaxSeries) {
    return Concat("it has ", progress.series_size(), " series; at most ",
                  kMaxSeries, " are read");
  }
  std::set<std::string_view> names;
  for (const v1::SeriesState& series : progress.series()) {
    if (!names.insert(series.name()).second ||
        !IsSeries(series, progress.step())) {
      return Concat("its series '", series.name(), "' contradicts itself");
    }
  }
  return std::nullopt;
}

}  // namespace attune::worker
