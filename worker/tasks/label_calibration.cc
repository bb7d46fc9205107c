#include "worker/tasks/label_calibration.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"

namespace attune::worker {
namespace {

using attune::v1::LabelCalibration;

// The three that Zhao et al. (2021) average over.
constexpr const char* kNothings[] = {"N/A", "[MASK]", ""};

// The search for a temperature ends when its logarithm is known to this.
constexpr double kTolerance = 1e-6;

// log(sum(exp(values))) without overflow.
double LogSum(absl::Span<const double> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

// The mean of -log P(right) at 1 / temperature.
double LossAt(double inverse,
              absl::Span<const std::vector<double>> log_probabilities,
              absl::Span<const int> right) {
  double loss = 0;
  std::vector<double> scaled;
  for (size_t i = 0; i < log_probabilities.size(); ++i) {
    scaled = log_probabilities[i];
    for (double& value : scaled) value *= inverse;
    loss += LogSum(scaled) - scaled[right[i]];
  }
  return loss / static_cast<double>(log_probabilities.size());
}

}  // namespace

void Calibrate(const LabelCalibration& calibration,
               std::vector<double>& log_probabilities) {
  const bool has_priors = calibration.log_priors_size() > 0;
  if (!has_priors && !calibration.has_temperature()) return;
  if (std::any_of(log_probabilities.begin(), log_probabilities.end(),
                  [](double value) { return std::isnan(value); })) {
    return;
  }
  const double inverse =
      calibration.has_temperature() ? 1 / calibration.temperature().value() : 1;
  for (size_t i = 0; i < log_probabilities.size(); ++i) {
    if (has_priors) {
      log_probabilities[i] -= calibration.log_priors(static_cast<int>(i));
    }
    log_probabilities[i] *= inverse;
  }
  const double all = LogSum(log_probabilities);
  for (double& value : log_probabilities) value -= all;
}

bool Abstains(const LabelCalibration& calibration, double score) {
  return score < calibration.abstain_below();
}

double FitTemperature(absl::Span<const std::vector<double>> log_probabilities,
                      absl::Span<const int> right) {
  // The loss is convex in 1 / temperature, so it falls and then rises in the
  // temperature's logarithm: a golden section closes in on the least.
  const double share = (std::sqrt(5.0) - 1) / 2;
  const auto loss_at = [&](double log_temperature) {
    return LossAt(std::exp(-log_temperature), log_probabilities, right);
  };
  double low = std::log(kMinLabelTemperature);
  double high = std::log(kMaxLabelTemperature);
  double left = high - share * (high - low);
  double middle = low + share * (high - low);
  double left_loss = loss_at(left);
  double middle_loss = loss_at(middle);
  while (high - low > kTolerance) {
    if (left_loss <= middle_loss) {
      high = std::exchange(middle, left);
      middle_loss = left_loss;
      left = high - share * (high - low);
      left_loss = loss_at(left);
    } else {
      low = std::exchange(left, middle);
      left_loss = middle_loss;
      middle = low + share * (high - low);
      middle_loss = loss_at(middle);
    }
  }
  return std::exp((low + high) / 2);
}

absl::StatusOr<std::vector<TaskInput>> ContentFreeInputs(
    const TaskProgram& program, std::string_view fields) {
  nlohmann::json row =
      nlohmann::json::parse(fields, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) {
    return MakeError(Reason::kInternal, "a row's fields are no JSON object");
  }
  bool has_text = false;
  std::vector<TaskInput> inputs;
  for (const char* nothing : kNothings) {
    for (const std::string& name : program.fields_read()) {
      const auto field = row.find(name);
      if (field == row.end() || !field->is_string()) continue;
      *field = nothing;
      has_text = true;
    }
    if (!has_text) {
      return InvalidField("task.calibration.content_free",
                          "the template reads no text that could be replaced "
                          "by one that says nothing");
    }
    absl::StatusOr<TaskInput> input =
        program.PrepareInput(row.dump(), /*answer_tokens=*/0);
    if (input.ok()) {
      inputs.push_back(*std::move(input));
    } else if (*nothing != '\0' ||
               ReasonOf(input.status()) != Reason::kInvalidTemplate) {
      return input.status();
    }
  }
  return inputs;
}

}  // namespace attune::worker
