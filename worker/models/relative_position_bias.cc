#include "worker/models/relative_position_bias.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace attune::worker {

at::Tensor PositionBuckets::Of(const at::Tensor& distances) const {
  const int64_t per_side = both_ways ? count / 2 : count;
  const at::Tensor first = both_ways
                               ? at::gt(distances, 0).to(at::kLong) * per_side
                               : at::zeros_like(distances);
  const at::Tensor steps =
      both_ways ? distances.abs() : at::clamp_min(-distances, 0);
  const int64_t exact = per_side / 2;
  // Powers of two fall on the edges of buckets, so rounding decides: these are
  // the operations of Hugging Face's model, in their order and in fp32.
  const double growth =
      std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const at::Tensor shared =
      (at::log(at::clamp_min(steps, 1).to(at::kFloat) / exact) / growth *
       (per_side - exact))
          .to(at::kLong) +
      exact;
  return first + at::where(at::lt(steps, exact), steps,
                           at::clamp_max(shared, per_side - 1));
}

RelativePositionBias::RelativePositionBias(const at::Tensor& table,
                                           const PositionBuckets& buckets) {
  const int64_t reach = buckets.max_distance;
  const at::Tensor distances =
      at::arange(-reach, reach + 1, at::TensorOptions().dtype(at::kLong));
  const at::Tensor of_distance = buckets.Of(distances).to(table.device());
  near_ =
      at::index_select(table.to(at::kFloat).t().contiguous(), 1, of_distance);
}

at::Tensor RelativePositionBias::For(int64_t span) const {
  const int64_t reach = (near_.size(1) - 1) / 2;
  const at::Tensor distances =
      at::arange(1 - span, span, near_.options().dtype(at::kLong));
  return at::index_select(near_, 1,
                          at::clamp(distances, -reach, reach) + reach);
}

}  // namespace attune::worker
