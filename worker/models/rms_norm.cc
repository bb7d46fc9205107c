#include "worker/models/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <utility>

#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"
#include "worker/models/kept_rows.h"

namespace attune::worker {
namespace {

constexpr int64_t kNormGrainRows = 16;

struct Normed {
  at::Tensor sum;          // [n, dim]
  at::Tensor kept;         // the same as the backward pass reads it
  at::Tensor out;          // [n, dim]
  at::Tensor inverse_rms;  // [n, 1]
};

// Data of a tensor that may be undefined: null then.
template <typename Number>
Number* DataOf(const at::Tensor& x) {
  return x.defined() ? static_cast<Number*>(x.data_ptr()) : nullptr;
}

// Number: of delta and out. result.sum and result.kept are made already, the
// latter only where it is wanted.
template <typename Number>
void NormOnCpu(const at::Tensor& x, const at::Tensor& delta,
               const at::Tensor& weight, double epsilon, Normed& result) {
  result.out =
      at::empty(x.sizes(), x.options().dtype(sizeof(Number) == sizeof(float)
                                                 ? at::kFloat
                                                 : at::kBFloat16));
  result.inverse_rms = at::empty({x.size(0), 1}, x.options());
  const cpu_rows::AddRmsNormArgs<Number> args = {
      .x = x.const_data_ptr<float>(),
      .delta = DataOf<Number>(delta),
      .weight = weight.const_data_ptr<float>(),
      .sum = DataOf<float>(result.sum),
      .out = DataOf<Number>(result.out),
      .kept = DataOf<Number>(result.kept),
      .inverse_rms = DataOf<float>(result.inverse_rms),
      .dim = x.size(1),
      .epsilon = static_cast<float>(epsilon)};
  at::parallel_for(0, x.size(0), kNormGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::AddRmsNorm(args, begin, end);
                   });
}

Normed NormAnywhere(const at::Tensor& x, const at::Tensor& delta,
                    const at::Tensor& weight, double epsilon) {
  const at::Tensor sum = delta.defined() ? x + delta : x;
  const at::Tensor inverse =
      at::rsqrt(at::mean(sum * sum, {1}, /*keepdim=*/true) + epsilon);
  return {sum, sum, sum * inverse * weight, inverse};
}

Normed Norm(const at::Tensor& x, const at::Tensor& delta,
            const at::Tensor& weight, double epsilon, bool reuse_delta) {
  if (!IsCpuFloat(x)) return NormAnywhere(x, delta, weight, epsilon);
  Normed result;
  const at::Tensor rows = x.contiguous();
  const at::Tensor added =
      delta.defined() ? delta.to(at::kFloat).contiguous() : delta;
  result.sum = rows;
  if (added.defined()) result.sum = reuse_delta ? added : at::empty_like(rows);
  NormOnCpu<float>(rows, added, weight, epsilon, result);
  result.kept = result.sum;
  return result;
}

// With delta, the result and what is kept in bf16.
Normed NarrowNorm(const at::Tensor& x, const at::Tensor& delta,
                  const at::Tensor& weight, double epsilon) {
  Normed result;
  const at::Tensor rows = x.contiguous();
  result.sum = delta.defined() ? at::empty_like(rows) : rows;
  result.kept = at::empty(x.sizes(), x.options().dtype(at::kBFloat16));
  NormOnCpu<uint16_t>(rows, delta.defined() ? delta.contiguous() : delta,
                      weight, epsilon, result);
  return result;
}

struct NormGrads {
  at::Tensor sum;
  at::Tensor delta;  // the same in the delta's own dtype
};

// What a layer kept of a norm.
struct Kept {
  at::Tensor sum;
  at::Tensor weight;
  at::Tensor inverse_rms;
};

at::Tensor NormBackwardAnywhere(const Kept& kept, const at::Tensor& grad_out,
                                const at::Tensor& direct) {
  const at::Tensor grad = grad_out * kept.weight;
  const at::Tensor projection =
      at::mean(grad * kept.sum, {1}, /*keepdim=*/true) * kept.inverse_rms *
      kept.inverse_rms;
  const at::Tensor through = kept.inverse_rms * (grad - kept.sum * projection);
  return direct.defined() ? through + direct : through;
}

// `direct` is what reaches sum past the norm; may be undefined. Number: of
// kept.sum, grad_out and the delta.
template <typename Number>
NormGrads NormBackwardOnCpu(const Kept& kept, const at::Tensor& grad_out,
                            const at::Tensor& direct, bool has_delta) {
  NormGrads grads;
  grads.sum = at::empty(grad_out.sizes(), grad_out.options().dtype(at::kFloat));
  const bool narrow = sizeof(Number) != sizeof(float);
  if (has_delta) grads.delta = narrow ? at::empty_like(grad_out) : grads.sum;
  const cpu_rows::AddRmsNormBackwardArgs<Number> args = {
      .sum = DataOf<Number>(kept.sum),
      .weight = kept.weight.const_data_ptr<float>(),
      .inverse_rms = kept.inverse_rms.const_data_ptr<float>(),
      .grad_out = DataOf<Number>(grad_out),
      .grad_direct = DataOf<float>(direct),
      .grad_sum = DataOf<float>(grads.sum),
      .grad_delta = has_delta && narrow ? DataOf<Number>(grads.delta) : nullptr,
      .dim = grad_out.size(1)};
  at::parallel_for(0, grad_out.size(0), kNormGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::AddRmsNormBackward(args, begin, end);
                   });
  return grads;
}

NormGrads NormBackward(const Kept& kept, const at::Tensor& grad_out,
                       const at::Tensor& direct, bool has_delta) {
  if (IsCpuBf16(grad_out)) {
    return NormBackwardOnCpu<uint16_t>(kept, grad_out, direct, has_delta);
  }
  if (IsCpuFloat(grad_out)) {
    return NormBackwardOnCpu<float>(kept, grad_out, direct, has_delta);
  }
  const at::Tensor grad = NormBackwardAnywhere(kept, grad_out, direct);
  return {grad, grad};
}

struct RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const at::Tensor& x,
      const std::optional<at::Tensor>& delta, const at::Tensor& weight,
      double epsilon, bool narrow) {
    const at::Tensor added = delta.value_or(at::Tensor());
    const Normed result =
        narrow ? NarrowNorm(x, added, weight, epsilon)
               : Norm(x, added, weight, epsilon, /*reuse_delta=*/false);
    context->set_materialize_grads(false);
    context->save_for_backward(
        {KeptRows::Keep(result.kept), weight, result.inverse_rms});
    context->saved_data["has_delta"] = delta.has_value();
    return {result.sum, result.out};
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const bool has_delta = context->saved_data["has_delta"].toBool();
    NormGrads result = {grads[0], grads[0]};
    if (grads[1].defined()) {
      const at::Tensor grad_out = grads[1].contiguous();
      result = NormBackward(
          {KeptRows::Restore(saved[0], grad_out), saved[1], saved[2]}, grad_out,
          grads[0].defined() ? grads[0].contiguous() : grads[0], has_delta);
    }
    return {result.sum, has_delta ? result.delta : at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RmsNorm::RmsNorm(at::Tensor weight, double epsilon)
    : weight_(std::move(weight)), epsilon_(epsilon) {}

RmsNorm::Output RmsNorm::Forward(const at::Tensor& x,
                                 const at::Tensor& delta) const {
  return Run(x, delta, /*narrow=*/false);
}

RmsNorm::Output RmsNorm::ForwardNarrow(const at::Tensor& x,
                                       const at::Tensor& delta) const {
  const bool can = KeptRows::narrow() && IsCpuFloat(x) &&
                   (!delta.defined() || delta.scalar_type() == at::kBFloat16);
  return Run(x, delta, can);
}

RmsNorm::Output RmsNorm::Run(const at::Tensor& x, const at::Tensor& delta,
                             bool narrow) const {
  if (at::GradMode::is_enabled() && weight_.requires_grad()) {
    // A weight that is trained: autograd's own way.
    const Normed result = NormAnywhere(x, delta, weight_, epsilon_);
    return {result.sum, result.out};
  }
  const bool needs_grad =
      at::GradMode::is_enabled() &&
      (x.requires_grad() || (delta.defined() && delta.requires_grad()));
  if (!needs_grad) {
    Normed result = Norm(x, delta, weight_, epsilon_, /*reuse_delta=*/true);
    return {std::move(result.sum), std::move(result.out)};
  }
  // The first layer has nothing to add: its residual is its input.
  if (!delta.defined()) {
    // Autograd takes no undefined tensors.
    return {x, RmsNormFunction::apply(x, std::optional<at::Tensor>(), weight_,
                                      epsilon_, narrow)[1]};
  }
  auto outputs = RmsNormFunction::apply(x, std::optional<at::Tensor>(delta),
                                        weight_, epsilon_, narrow);
  return {outputs[0], outputs[1]};
}

}  // namespace attune::worker
