#include "worker/tuning/adafactor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace attune::worker {
namespace {

constexpr char kRowMeans[] = "row";
constexpr char kColumnMeans[] = "column";
constexpr char kWholeMean[] = "exp_avg_sq";
// Keeps a gradient of zeros from a division by zero.
constexpr double kLeastSquare = 1e-30;
// Lets values of zero move where steps are relative to them.
constexpr double kLeastScale = 1e-3;

double RootMeanSquare(const at::Tensor& tensor) {
  return tensor.norm().item<double>() /
         std::sqrt(static_cast<double>(tensor.numel()));
}

void MixIn(const at::Tensor& newest, double share, at::Tensor& mean) {
  mean.mul_(1 - share).add_(newest, share);
}

// rows: [..., n], columns: [..., m] -> one over the roots of the outer products
// that have these means, [..., n, m].
at::Tensor InverseRoots(const at::Tensor& rows, const at::Tensor& columns) {
  const at::Tensor relative =
      rows / rows.mean(at::IntArrayRef{-1}, /*keepdim=*/true);
  return relative.rsqrt().unsqueeze(-1) * columns.rsqrt().unsqueeze(-2);
}

}  // namespace

TensorMap Adafactor::MakeSlots(const at::Tensor& value) const {
  if (value.dim() < 2) {
    return {{kWholeMean, at::zeros(value.sizes(), value.options())}};
  }
  std::vector<int64_t> rows = value.sizes().vec();
  rows.pop_back();
  std::vector<int64_t> columns = value.sizes().vec();
  columns.erase(columns.end() - 2);
  return {{kRowMeans, at::zeros(rows, value.options())},
          {kColumnMeans, at::zeros(columns, value.options())}};
}

void Adafactor::Update(const UpdateFacts& facts, const at::Tensor& gradient,
                       at::Tensor& value, TensorMap& slots) const {
  double rate = facts.learning_rate;
  if (options_.scale_parameter) {
    rate *= std::max(kLeastScale, RootMeanSquare(value));
  }
  // The share of the newest gradient falls with time, from all in the first.
  const double share =
      std::pow(static_cast<double>(facts.update), options_.decay_rate);
  const at::Tensor squares = gradient.square().add_(kLeastSquare);
  at::Tensor step;
  if (value.dim() < 2) {
    at::Tensor& mean = slots.at(kWholeMean);
    MixIn(squares, share, mean);
    step = mean.rsqrt();
  } else {
    at::Tensor& rows = slots.at(kRowMeans);
    at::Tensor& columns = slots.at(kColumnMeans);
    MixIn(squares.mean(at::IntArrayRef{-1}), share, rows);
    MixIn(squares.mean(at::IntArrayRef{-2}), share, columns);
    step = InverseRoots(rows, columns);
  }
  step.mul_(gradient);
  const double excess =
      std::max(1.0, RootMeanSquare(step) / options_.clip_threshold);
  value.mul_(1 - facts.weight_decay * rate);
  value.add_(step, -rate / excess);
}

}  // namespace attune::worker
