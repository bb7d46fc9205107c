#include "worker/models/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <utility>
#include <vector>

#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"

namespace attune::worker {
namespace {

constexpr int64_t kRotaryGrainRows = 16;

// What forward and backward need beside the rows.
struct Tables {
  at::Tensor positions;  // [n]
  at::Tensor cosines;
  at::Tensor sines;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;

  int64_t group() const { return heads / kv_heads; }
  double scale() const { return 1.0 / std::sqrt(head_dim); }
};

cpu_rows::RotaryArgs Args(const Tables& tables, const at::Tensor& qkv,
                          const QkvRows& rows) {
  return {.qkv = static_cast<float*>(qkv.data_ptr()),
          .q = static_cast<float*>(rows.q.data_ptr()),
          .k = static_cast<float*>(rows.k.data_ptr()),
          .v = static_cast<float*>(rows.v.data_ptr()),
          .positions = tables.positions.const_data_ptr<int64_t>(),
          .cosines = tables.cosines.const_data_ptr<float>(),
          .sines = tables.sines.const_data_ptr<float>(),
          .rows = qkv.size(0),
          .heads = tables.heads,
          .kv_heads = tables.kv_heads,
          .head_dim = tables.head_dim,
          .scale = static_cast<float>(tables.scale())};
}

// x: [..., n, any, head_dim] in halves, rotated by `direction` times the angle.
at::Tensor RotateAnywhere(const at::Tensor& x, const Tables& tables,
                          double direction) {
  const int64_t half = tables.head_dim / 2;
  const auto pick = [&](const at::Tensor& table) {
    return at::index_select(table, 0, tables.positions)
        .to(x.scalar_type())
        .unsqueeze(1);
  };
  const at::Tensor c = pick(tables.cosines);
  const at::Tensor s = pick(tables.sines) * direction;
  const at::Tensor a = x.narrow(-1, 0, half);
  const at::Tensor b = x.narrow(-1, half, half);
  return at::cat({a * c - b * s, b * c + a * s}, -1);
}

QkvRows SplitAnywhere(const at::Tensor& qkv, const Tables& tables) {
  const int64_t n = qkv.size(0);
  const at::Tensor heads = qkv.view({n, -1, tables.head_dim});
  const at::Tensor q =
      RotateAnywhere(heads.narrow(1, 0, tables.heads), tables, 1) *
      tables.scale();
  const at::Tensor k =
      RotateAnywhere(heads.narrow(1, tables.heads, tables.kv_heads), tables, 1);
  const at::Tensor v =
      heads.narrow(1, tables.heads + tables.kv_heads, tables.kv_heads);
  return {q.view({n, tables.kv_heads, tables.group(), tables.head_dim})
              .transpose(0, 1)
              .reshape({tables.kv_heads, n * tables.group(), tables.head_dim}),
          k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()};
}

at::Tensor MergeAnywhere(const QkvRows& grads, const Tables& tables) {
  const int64_t n = grads.k.size(1);
  const at::Tensor q =
      grads.q.view({tables.kv_heads, n, tables.group(), tables.head_dim})
          .transpose(0, 1)
          .reshape({n, tables.heads, tables.head_dim});
  return at::cat({RotateAnywhere(q, tables, -1) * tables.scale(),
                  RotateAnywhere(grads.k.transpose(0, 1), tables, -1),
                  grads.v.transpose(0, 1)},
                 1)
      .view({n, -1});
}

QkvRows Split(const at::Tensor& qkv, const Tables& tables) {
  if (!IsCpuFloat(qkv)) return SplitAnywhere(qkv, tables);
  const int64_t n = qkv.size(0);
  const QkvRows rows = {
      at::empty({tables.kv_heads, n * tables.group(), tables.head_dim},
                qkv.options()),
      at::empty({tables.kv_heads, n, tables.head_dim}, qkv.options()),
      at::empty({tables.kv_heads, n, tables.head_dim}, qkv.options())};
  const cpu_rows::RotaryArgs args = Args(tables, qkv, rows);
  at::parallel_for(0, n, kRotaryGrainRows, [&](int64_t begin, int64_t end) {
    cpu_rows::SplitRotate(args, begin, end);
  });
  return rows;
}

at::Tensor Merge(const QkvRows& grads, const Tables& tables) {
  if (!IsCpuFloat(grads.q)) return MergeAnywhere(grads, tables);
  const int64_t n = grads.k.size(1);
  at::Tensor qkv =
      at::empty({n, (tables.heads + 2 * tables.kv_heads) * tables.head_dim},
                grads.q.options());
  const cpu_rows::RotaryArgs args = Args(tables, qkv, grads);
  at::parallel_for(0, n, kRotaryGrainRows, [&](int64_t begin, int64_t end) {
    cpu_rows::SplitRotateBackward(args, begin, end);
  });
  return qkv;
}

struct RotaryFunction : public torch::autograd::Function<RotaryFunction> {
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const at::Tensor& qkv,
      const Tables& tables) {
    context->save_for_backward(
        {tables.positions, tables.cosines, tables.sines});
    context->saved_data["heads"] = tables.heads;
    context->saved_data["kv_heads"] = tables.kv_heads;
    context->saved_data["head_dim"] = tables.head_dim;
    QkvRows rows = Split(qkv, tables);
    return {rows.q, rows.k, rows.v};
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tables tables = {saved[0],
                           saved[1],
                           saved[2],
                           context->saved_data["heads"].toInt(),
                           context->saved_data["kv_heads"].toInt(),
                           context->saved_data["head_dim"].toInt()};
    return {Merge({grads[0].contiguous(), grads[1].contiguous(),
                   grads[2].contiguous()},
                  tables),
            at::Tensor()};
  }
};

}  // namespace

Rotary::Rotary(const ModelConfig& config, const at::Device& device)
    : heads_(config.num_heads),
      kv_heads_(config.num_kv_heads),
      head_dim_(config.head_dim) {
  const int64_t half = head_dim_ / 2;
  const auto options = at::TensorOptions().dtype(at::kFloat);
  at::Tensor cosines = at::empty({config.context_length, half}, options);
  at::Tensor sines = at::empty({config.context_length, half}, options);
  float* cosine = cosines.mutable_data_ptr<float>();
  float* sine = sines.mutable_data_ptr<float>();
  // Rounded to fp32 where Hugging Face rounds.
  std::vector<float> frequencies;
  for (int64_t i = 0; i < half; ++i) {
    const double exponent =
        2.0 * static_cast<double>(i) / static_cast<double>(head_dim_);
    frequencies.push_back(
        static_cast<float>(1.0 / std::pow(config.rope_theta, exponent)));
  }
  for (int64_t position = 0; position < config.context_length; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      *cosine++ = std::cos(angle);
      *sine++ = std::sin(angle);
    }
  }
  cosines_ = cosines.to(device);
  sines_ = sines.to(device);
}

QkvRows Rotary::Forward(const at::Tensor& qkv,
                        const at::Tensor& positions) const {
  const Tables tables = {positions, cosines_,  sines_,
                         heads_,    kv_heads_, head_dim_};
  if (!at::GradMode::is_enabled() || !qkv.requires_grad()) {
    return Split(qkv, tables);
  }
  auto outputs = RotaryFunction::apply(qkv, tables);
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace attune::worker
