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
  at::Tensor out;          // [n, dim]
  at::Tensor inverse_rms;  // [n, 1]
};

Normed NormOnCpu(const at::Tensor& x, const at::Tensor& delta,
                 const at::Tensor& weight, double epsilon, bool reuse_delta) {
  Normed result;
  result.sum = x;
  if (delta.defined()) result.sum = reuse_delta ? delta : at::empty_like(x);
  result.out = at::empty_like(x);
  result.inverse_rms = at::empty({x.size(0), 1}, x.options());
  const cpu_rows::AddRmsNormArgs args = {
      .x = x.const_data_ptr<float>(),
      .delta = delta.defined() ? delta.const_data_ptr<float>() : nullptr,
      .weight = weight.const_data_ptr<float>(),
      .sum = static_cast<float*>(result.sum.data_ptr()),
      .out = result.out.mutable_data_ptr<float>(),
      .inverse_rms = result.inverse_rms.mutable_data_ptr<float>(),
      .dim = x.size(1),
      .epsilon = static_cast<float>(epsilon)};
  at::parallel_for(0, x.size(0), kNormGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::AddRmsNorm(args, begin, end);
                   });
  return result;
}

Normed NormAnywhere(const at::Tensor& x, const at::Tensor& delta,
                    const at::Tensor& weight, double epsilon) {
  const at::Tensor sum = delta.defined() ? x + delta : x;
  const at::Tensor inverse =
      at::rsqrt(at::mean(sum * sum, {1}, /*keepdim=*/true) + epsilon);
  return {sum, sum * inverse * weight, inverse};
}

Normed Norm(const at::Tensor& x, const at::Tensor& delta,
            const at::Tensor& weight, double epsilon, bool reuse_delta) {
  if (!IsCpuFloat(x)) return NormAnywhere(x, delta, weight, epsilon);
  return NormOnCpu(x.contiguous(), delta.defined() ? delta.contiguous() : delta,
                   weight, epsilon, reuse_delta);
}

// Gradient of sum. `direct` is what reaches sum past the norm; may be
// undefined.
at::Tensor NormBackward(const Normed& saved, const at::Tensor& weight,
                        const at::Tensor& grad_out, const at::Tensor& direct) {
  if (!IsCpuFloat(grad_out)) {
    const at::Tensor grad = grad_out * weight;
    const at::Tensor projection =
        at::mean(grad * saved.sum, {1}, /*keepdim=*/true) * saved.inverse_rms *
        saved.inverse_rms;
    const at::Tensor through =
        saved.inverse_rms * (grad - saved.sum * projection);
    return direct.defined() ? through + direct : through;
  }
  at::Tensor grad_sum = at::empty_like(grad_out);
  const cpu_rows::AddRmsNormBackwardArgs args = {
      .sum = saved.sum.const_data_ptr<float>(),
      .weight = weight.const_data_ptr<float>(),
      .inverse_rms = saved.inverse_rms.const_data_ptr<float>(),
      .grad_out = grad_out.const_data_ptr<float>(),
      .grad_direct =
          direct.defined() ? direct.const_data_ptr<float>() : nullptr,
      .grad_sum = grad_sum.mutable_data_ptr<float>(),
      .dim = grad_out.size(1)};
  at::parallel_for(0, grad_out.size(0), kNormGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::AddRmsNormBackward(args, begin, end);
                   });
  return grad_sum;
}

struct RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const at::Tensor& x,
      const std::optional<at::Tensor>& delta, const at::Tensor& weight,
      double epsilon) {
    Normed result = Norm(x, delta.value_or(at::Tensor()), weight, epsilon,
                         /*reuse_delta=*/false);
    context->set_materialize_grads(false);
    context->save_for_backward(
        {KeptRows::Keep(result.sum), weight, result.inverse_rms});
    context->saved_data["has_delta"] = delta.has_value();
    return {result.sum, result.out};
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    at::Tensor grad = grads[0];
    if (grads[1].defined()) {
      const at::Tensor grad_out = grads[1].contiguous();
      grad = NormBackward(
          {KeptRows::Restore(saved[0], grad_out), at::Tensor(), saved[2]},
          saved[1], grad_out, grad.defined() ? grad.contiguous() : grad);
    }
    const bool has_delta = context->saved_data["has_delta"].toBool();
    return {grad, has_delta ? grad : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RmsNorm::RmsNorm(at::Tensor weight, double epsilon)
    : weight_(std::move(weight)), epsilon_(epsilon) {}

RmsNorm::Output RmsNorm::Forward(const at::Tensor& x,
                                 const at::Tensor& delta) const {
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
                                      epsilon_)[1]};
  }
  auto outputs = RmsNormFunction::apply(x, std::optional<at::Tensor>(delta),
                                        weight_, epsilon_);
  return {outputs[0], outputs[1]};
}

}  // namespace attune::worker
