#include "worker/tuning/front_drift.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>
#include <utility>

#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

// Reading this many takes about a millisecond.
constexpr int64_t kManyNumbers = int64_t{1} << 22;
constexpr int kStepsBetween = 10;

double SquareOfNorm(const at::Tensor& tensor) {
  const double norm = at::linalg_vector_norm(tensor, /*ord=*/2).item<double>();
  return norm * norm;
}

}  // namespace

FrontDrift::FrontDrift(TensorMap start) : start_(std::move(start)) {
  start_.erase(std::string(kHeadWeightValue));
  start_.erase(std::string(kHeadBiasValue));
  for (const auto& [name, tensor] : start_) num_numbers_ += tensor.numel();
}

std::optional<FrontNorms> FrontDrift::Measure(const TensorMap& values,
                                              int step) const {
  if (num_numbers_ == 0 ||
      (num_numbers_ > kManyNumbers && step % kStepsBetween != 0)) {
    return std::nullopt;
  }
  const at::NoGradGuard no_grad;
  double norm = 0;
  double drift = 0;
  for (const auto& [name, start] : start_) {
    const at::Tensor& value = values.at(name);
    norm += SquareOfNorm(value);
    drift += SquareOfNorm(value - start);
  }
  return FrontNorms{.norm = std::sqrt(norm), .drift = std::sqrt(drift)};
}

}  // namespace attune::worker
