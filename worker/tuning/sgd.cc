#include "worker/tuning/sgd.h"

#include <ATen/ops/zeros.h>

namespace attune::worker {
namespace {

constexpr char kDirection[] = "momentum";

}  // namespace

TensorMap Sgd::MakeSlots(const at::Tensor& value) const {
  if (momentum_ == 0) return {};
  return {{kDirection, at::zeros(value.sizes(), value.options())}};
}

void Sgd::Update(const UpdateFacts& facts, const at::Tensor& gradient,
                 at::Tensor& value, TensorMap& slots) const {
  at::Tensor direction = gradient;
  if (facts.weight_decay != 0) {
    direction = direction.add(value, facts.weight_decay);
  }
  if (momentum_ != 0) {
    direction = slots.at(kDirection).mul_(momentum_).add_(direction);
  }
  value.add_(direction, -facts.learning_rate);
}

}  // namespace attune::worker
