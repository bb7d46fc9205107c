#include "worker/models/swiglu.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sigmoid.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"
#include "worker/models/kept_rows.h"

namespace attune::worker {
namespace {

constexpr int64_t kSwigluGrainRows = 8;

at::Tensor Activate(const at::Tensor& gate_up) {
  const int64_t ffn = gate_up.size(1) / 2;
  if (!IsCpuFloat(gate_up)) {
    const at::Tensor gate = gate_up.narrow(1, 0, ffn);
    return gate * at::sigmoid(gate) * gate_up.narrow(1, ffn, ffn);
  }
  at::Tensor out = at::empty({gate_up.size(0), ffn}, gate_up.options());
  const float* from = gate_up.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, out.size(0), kSwigluGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::SwiGlu(from, to, ffn, begin, end);
                   });
  return out;
}

at::Tensor ActivateBackward(const at::Tensor& gate_up, const at::Tensor& grad) {
  const int64_t ffn = gate_up.size(1) / 2;
  if (!IsCpuFloat(gate_up)) {
    const at::Tensor gate = gate_up.narrow(1, 0, ffn);
    const at::Tensor up = gate_up.narrow(1, ffn, ffn);
    const at::Tensor sigmoid = at::sigmoid(gate);
    const at::Tensor silu = gate * sigmoid;
    return at::cat({grad * up * (sigmoid + silu * (1 - sigmoid)), grad * silu},
                   1);
  }
  at::Tensor grad_gate_up = at::empty_like(gate_up);
  const float* from = gate_up.const_data_ptr<float>();
  const float* grads = grad.const_data_ptr<float>();
  float* to = grad_gate_up.mutable_data_ptr<float>();
  at::parallel_for(0, grad.size(0), kSwigluGrainRows,
                   [&](int64_t begin, int64_t end) {
                     cpu_rows::SwiGluBackward(from, grads, to, ffn, begin, end);
                   });
  return grad_gate_up;
}

struct SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& gate_up) {
    context->save_for_backward({KeptRows::Keep(gate_up)});
    return Activate(gate_up);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const at::Tensor grad = grads[0].contiguous();
    return {ActivateBackward(
        KeptRows::Restore(context->get_saved_variables()[0], grad), grad)};
  }
};

}  // namespace

at::Tensor SwiGlu(const at::Tensor& gate_up) {
  if (at::GradMode::is_enabled() && gate_up.requires_grad()) {
    return SwiGluFunction::apply(gate_up);
  }
  return Activate(gate_up);
}

}  // namespace attune::worker
