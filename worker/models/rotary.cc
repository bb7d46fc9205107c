#include "worker/models/rotary.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace attune::worker {
namespace {

// Llama 3's scaling: long wavelengths are stretched by `factor`, short ones
// stay, those between are interpolated.
double ScaleLlama3(double frequency, const RotaryConfig& config) {
  const double context = static_cast<double>(config.original_context);
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < context / config.high_frequency_factor) return frequency;
  if (wavelength > context / config.low_frequency_factor) {
    return frequency / config.factor;
  }
  const double smooth =
      (context / wavelength - config.low_frequency_factor) /
      (config.high_frequency_factor - config.low_frequency_factor);
  return (1 - smooth) * frequency / config.factor + smooth * frequency;
}

}  // namespace

Rotary::Rotary(const RotaryConfig& config, int64_t rotary_dim,
               const at::Device& device) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < rotary_dim / 2; ++i) {
    const double exponent =
        2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim);
    double frequency = 1.0 / std::pow(config.theta, exponent);
    switch (config.scaling) {
      case RotaryConfig::Scaling::kNone:
        break;
      case RotaryConfig::Scaling::kLinear:
        frequency /= config.factor;
        break;
      case RotaryConfig::Scaling::kLlama3:
        frequency = ScaleLlama3(frequency, config);
        break;
    }
    // Rounded to fp32 where Hugging Face rounds.
    frequencies.push_back(static_cast<float>(frequency));
  }
  frequencies_ = at::tensor(frequencies, at::kFloat).to(device);
}

RotaryAngles Rotary::At(const at::Tensor& positions) const {
  const at::NoGradGuard no_grad;
  const at::Tensor angles =
      positions.to(at::kFloat).unsqueeze(1) * frequencies_.unsqueeze(0);
  return {at::cos(angles), at::sin(angles)};
}

}  // namespace attune::worker
