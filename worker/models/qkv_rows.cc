#include "worker/models/qkv_rows.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "worker/models/bf16_factors.h"
#include "worker/models/device.h"
#include "worker/models/head_rows.h"

namespace attune::worker {
namespace {

constexpr int64_t kSplitGrainRows = 16;

// Number: of qkv and the rows.
template <typename Number>
cpu_rows::SplitHeadsArgs<Number> Args(const HeadShape& shape,
                                      const RotaryAngles& angles,
                                      const at::Tensor& qkv,
                                      const QkvRows& rows) {
  const bool rotates = angles.cosines.defined();
  return {.qkv = static_cast<Number*>(qkv.data_ptr()),
          .q = static_cast<Number*>(rows.q.data_ptr()),
          .k = static_cast<Number*>(rows.k.data_ptr()),
          .v = static_cast<Number*>(rows.v.data_ptr()),
          .cosines = rotates ? angles.cosines.const_data_ptr<float>() : nullptr,
          .sines = rotates ? angles.sines.const_data_ptr<float>() : nullptr,
          .rows = qkv.size(0),
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .rotary_dim = angles.rotary_dim(),
          .scale = static_cast<float>(shape.scale)};
}

// x: [n, any, head_dim], its first rotary_dim elements rotated by `direction`
// times the angle.
at::Tensor RotateAnywhere(const at::Tensor& x, const RotaryAngles& angles,
                          double direction) {
  if (!angles.cosines.defined()) return x;
  const int64_t half = angles.rotary_dim() / 2;
  const at::Tensor c = angles.cosines.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor s =
      angles.sines.to(x.scalar_type()).unsqueeze(1) * direction;
  const at::Tensor a = x.narrow(-1, 0, half);
  const at::Tensor b = x.narrow(-1, half, half);
  const at::Tensor rest = x.narrow(-1, 2 * half, x.size(-1) - 2 * half);
  return at::cat({a * c - b * s, b * c + a * s, rest}, -1);
}

QkvRows SplitAnywhere(const at::Tensor& qkv, const HeadShape& shape,
                      const RotaryAngles& angles) {
  const int64_t n = qkv.size(0);
  const at::Tensor heads = qkv.view({n, -1, shape.head_dim});
  const at::Tensor q =
      RotateAnywhere(heads.narrow(1, 0, shape.heads), angles, 1) * shape.scale;
  const at::Tensor k =
      RotateAnywhere(heads.narrow(1, shape.heads, shape.kv_heads), angles, 1);
  const at::Tensor v =
      heads.narrow(1, shape.heads + shape.kv_heads, shape.kv_heads);
  return {q.view({n, shape.kv_heads, shape.group(), shape.head_dim})
              .transpose(0, 1)
              .reshape({shape.kv_heads, n * shape.group(), shape.head_dim}),
          k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()};
}

at::Tensor MergeAnywhere(const QkvRows& grads, const HeadShape& shape,
                         const RotaryAngles& angles) {
  const int64_t n = grads.k.size(1);
  const at::Tensor q =
      grads.q.view({shape.kv_heads, n, shape.group(), shape.head_dim})
          .transpose(0, 1)
          .reshape({n, shape.heads, shape.head_dim});
  return at::cat({RotateAnywhere(q, angles, -1) * shape.scale,
                  RotateAnywhere(grads.k.transpose(0, 1), angles, -1),
                  grads.v.transpose(0, 1)},
                 1)
      .view({n, -1});
}

// The room behind bf16 rows is what narrow attention asks for.
at::Tensor EmptyRows(const at::IntArrayRef& sizes, const at::Tensor& like) {
  return IsCpuBf16(like) ? bf16_factors::EmptyRows(sizes)
                         : at::empty(sizes, like.options());
}

QkvRows Split(const at::Tensor& qkv, const HeadShape& shape,
              const RotaryAngles& angles) {
  const bool narrow = IsCpuBf16(qkv);
  if (!narrow && !IsCpuFloat(qkv)) return SplitAnywhere(qkv, shape, angles);
  const int64_t n = qkv.size(0);
  const QkvRows rows = {
      EmptyRows({shape.kv_heads, n * shape.group(), shape.head_dim}, qkv),
      EmptyRows({shape.kv_heads, n, shape.head_dim}, qkv),
      EmptyRows({shape.kv_heads, n, shape.head_dim}, qkv)};
  at::parallel_for(0, n, kSplitGrainRows, [&](int64_t begin, int64_t end) {
    if (narrow) {
      cpu_rows::SplitHeads(Args<uint16_t>(shape, angles, qkv, rows), begin,
                           end);
    } else {
      cpu_rows::SplitHeads(Args<float>(shape, angles, qkv, rows), begin, end);
    }
  });
  return rows;
}

at::Tensor Merge(const QkvRows& grads, const HeadShape& shape,
                 const RotaryAngles& angles) {
  const bool narrow = IsCpuBf16(grads.q);
  if (!narrow && !IsCpuFloat(grads.q)) {
    return MergeAnywhere(grads, shape, angles);
  }
  const int64_t n = grads.k.size(1);
  at::Tensor qkv =
      at::empty({n, (shape.heads + 2 * shape.kv_heads) * shape.head_dim},
                grads.q.options());
  at::parallel_for(0, n, kSplitGrainRows, [&](int64_t begin, int64_t end) {
    if (narrow) {
      cpu_rows::SplitHeadsBackward(Args<uint16_t>(shape, angles, qkv, grads),
                                   begin, end);
    } else {
      cpu_rows::SplitHeadsBackward(Args<float>(shape, angles, qkv, grads),
                                   begin, end);
    }
  });
  return qkv;
}

struct SplitQkvFunction : public torch::autograd::Function<SplitQkvFunction> {
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const at::Tensor& qkv,
      const HeadShape& shape, const RotaryAngles& angles) {
    context->save_for_backward({angles.cosines, angles.sines});
    context->saved_data["heads"] = shape.heads;
    context->saved_data["kv_heads"] = shape.kv_heads;
    context->saved_data["head_dim"] = shape.head_dim;
    context->saved_data["scale"] = shape.scale;
    QkvRows rows = Split(qkv, shape, angles);
    return {rows.q, rows.k, rows.v};
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const HeadShape shape = {
        .heads = context->saved_data["heads"].toInt(),
        .kv_heads = context->saved_data["kv_heads"].toInt(),
        .head_dim = context->saved_data["head_dim"].toInt(),
        .scale = context->saved_data["scale"].toDouble()};
    return {Merge({grads[0].contiguous(), grads[1].contiguous(),
                   grads[2].contiguous()},
                  shape, {saved[0], saved[1]}),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

HeadShape HeadShapeOf(const ModelConfig& config) {
  return {.heads = config.num_heads,
          .kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .scale = config.query_scale > 0
                       ? config.query_scale
                       : 1.0 / std::sqrt(static_cast<double>(config.head_dim))};
}

QkvRows SplitQkv(const at::Tensor& qkv, const HeadShape& shape,
                 const RotaryAngles& angles) {
  if (!at::GradMode::is_enabled() || !qkv.requires_grad()) {
    return Split(qkv.contiguous(), shape, angles);
  }
  auto outputs = SplitQkvFunction::apply(qkv.contiguous(), shape, angles);
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace attune::worker
