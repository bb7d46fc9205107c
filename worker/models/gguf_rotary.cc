#include "worker/models/gguf_rotary.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// What every published Llama 3 has. Only their ratio to the context shows.
constexpr double kLowFrequencyFactor = 1.0;
constexpr double kHighFrequencyFactor = 4.0;
constexpr int64_t kLlama3Context = 8192;
// The converter computes the divisors in fp32: in between the two factors an
// error of 1e-6 grows with the divisor, of which 32 is the largest published.
constexpr double kDivisorTolerance = 1e-4;

// What Llama 3's scaling divides a frequency by, as transformers computes it.
double Llama3Divisor(double frequency, double factor, double context) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < context / kHighFrequencyFactor) return 1;
  if (wavelength > context / kLowFrequencyFactor) return factor;
  const double smooth = (context / wavelength - kLowFrequencyFactor) /
                        (kHighFrequencyFactor - kLowFrequencyFactor);
  return 1 / ((1 - smooth) / factor + smooth);
}

absl::Status WriteLlama3Scaling(const GgufKeys& keys, double theta,
                                int64_t head_dim,
                                nlohmann::ordered_json& config) {
  const Gguf& gguf = keys.gguf();
  const auto& shape = gguf.tensors().at(kRopeFactorsTensor).shape;
  if (head_dim < 2 || shape != std::vector<int64_t>{head_dim / 2}) {
    return CorruptFile(gguf.origin(), Concat("tensor '", kRopeFactorsTensor,
                                             "' has another shape than [",
                                             head_dim / 2, "], half a head"));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const int64_t context,
      keys.SizeOr("rope.scaling.original_context_length", kLlama3Context));
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor tensor,
                          gguf.Decode(kRopeFactorsTensor));
  const float* divisors = tensor.const_data_ptr<float>();
  const int64_t count = tensor.numel();
  // The slowest pairs are divided by the whole factor.
  const double factor = *std::max_element(divisors, divisors + count);
  for (int64_t i = 0; i < count; ++i) {
    const double frequency = std::pow(
        theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    const double expected =
        Llama3Divisor(frequency, factor, static_cast<double>(context));
    // Written so that what is no number is refused, too.
    if (!(std::abs(divisors[i] - expected) <= kDivisorTolerance * expected)) {
      return absl::UnimplementedError(Concat(
          gguf.origin(), ": tensor '", kRopeFactorsTensor, "' has ",
          divisors[i], " at ", i, ", Llama 3's scaling by ", factor, " of ",
          context, " positions ", expected, "; no other is supported"));
    }
  }
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", ShortestDecimal(factor)},
                            {"low_freq_factor", kLowFrequencyFactor},
                            {"high_freq_factor", kHighFrequencyFactor},
                            {"original_max_position_embeddings", context}};
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteGgufRotary(const GgufKeys& keys, int64_t head_dim,
                             nlohmann::ordered_json& config) {
  ATTUNE_ASSIGN_OR_RETURN(const int64_t rotated,
                          keys.SizeOr("rope.dimension_count", head_dim));
  if (rotated != head_dim) return keys.Unsupported("rope.dimension_count");
  ATTUNE_RETURN_IF_ERROR(keys.RefuseUnless("rope.scaling.attn_factor", 1));
  ATTUNE_ASSIGN_OR_RETURN(const double theta,
                          keys.NumberOr("rope.freq_base", 10000.0));
  config["rope_theta"] = theta;
  // As llama.cpp reads them: a factor without a type is linear, and none is
  // meant by a factor of zero. `scale_linear` is the older name.
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string type,
      keys.gguf().GetOr<std::string>(keys.Name("rope.scaling.type"), "linear"));
  if (type != "linear" && type != "none") {
    return keys.Unsupported("rope.scaling.type");
  }
  ATTUNE_ASSIGN_OR_RETURN(double factor, keys.NumberOr("rope.scale_linear", 0));
  ATTUNE_ASSIGN_OR_RETURN(factor, keys.NumberOr("rope.scaling.factor", factor));
  const bool is_linear = type == "linear" && factor != 0 && factor != 1;
  if (keys.gguf().tensors().contains(kRopeFactorsTensor)) {
    if (is_linear) return keys.Unsupported("rope.scaling.factor");
    return WriteLlama3Scaling(keys, theta, head_dim, config);
  }
  if (is_linear) {
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
