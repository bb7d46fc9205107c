#include "worker/tuning/adamw.h"

#include <ATen/ops/zeros.h>

#include <cmath>

namespace attune::worker {
namespace {

constexpr char kGradientMean[] = "exp_avg";
constexpr char kSquaresMean[] = "exp_avg_sq";

}  // namespace

TensorMap AdamW::MakeSlots(const at::Tensor& value) const {
  return {{kGradientMean, at::zeros(value.sizes(), value.options())},
          {kSquaresMean, at::zeros(value.sizes(), value.options())}};
}

void AdamW::Update(const UpdateFacts& facts, const at::Tensor& gradient,
                   at::Tensor& value, TensorMap& slots) const {
  at::Tensor& exp_avg = slots.at(kGradientMean);
  at::Tensor& exp_avg_sq = slots.at(kSquaresMean);
  value.mul_(1 - facts.learning_rate * facts.weight_decay);
  exp_avg.lerp_(gradient, 1 - options_.beta1);
  exp_avg_sq.mul_(options_.beta2)
      .addcmul_(gradient, gradient, 1 - options_.beta2);

  const double count = static_cast<double>(facts.update);
  const double correction1 = 1 - std::pow(options_.beta1, count);
  const double correction2 = 1 - std::pow(options_.beta2, count);
  const at::Tensor denominator =
      exp_avg_sq.sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
  value.addcdiv_(exp_avg, denominator, -facts.learning_rate / correction1);
}

}  // namespace attune::worker
