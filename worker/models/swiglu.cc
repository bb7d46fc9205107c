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

const uint16_t* Bits(const at::Tensor& x) {
  return reinterpret_cast<const uint16_t*>(x.const_data_ptr<at::BFloat16>());
}

uint16_t* MutableBits(at::Tensor& x) {
  return reinterpret_cast<uint16_t*>(x.mutable_data_ptr<at::BFloat16>());
}

at::Tensor ActivateAnywhere(const at::Tensor& gate_up) {
  if (gate_up.scalar_type() == at::kBFloat16) {
    return ActivateAnywhere(gate_up.to(at::kFloat)).to(at::kBFloat16);
  }
  const int64_t ffn = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, ffn);
  return gate * at::sigmoid(gate) * gate_up.narrow(1, ffn, ffn);
}

at::Tensor Activate(const at::Tensor& gate_up) {
  const bool narrow = IsCpuBf16(gate_up);
  if (!narrow && !IsCpuFloat(gate_up)) return ActivateAnywhere(gate_up);
  const int64_t ffn = gate_up.size(1) / 2;
  at::Tensor out = at::empty({gate_up.size(0), ffn}, gate_up.options());
  at::parallel_for(
      0, out.size(0), kSwigluGrainRows, [&](int64_t begin, int64_t end) {
        if (narrow) {
          cpu_rows::SwiGluBf16(Bits(gate_up), MutableBits(out), ffn, begin,
                               end);
        } else {
          cpu_rows::SwiGlu(gate_up.const_data_ptr<float>(),
                           out.mutable_data_ptr<float>(), ffn, begin, end);
        }
      });
  return out;
}

at::Tensor ActivateBackwardAnywhere(const at::Tensor& gate_up,
                                    const at::Tensor& grad) {
  if (gate_up.scalar_type() == at::kBFloat16) {
    return ActivateBackwardAnywhere(gate_up.to(at::kFloat), grad.to(at::kFloat))
        .to(at::kBFloat16);
  }
  const int64_t ffn = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, ffn);
  const at::Tensor up = gate_up.narrow(1, ffn, ffn);
  const at::Tensor sigmoid = at::sigmoid(gate);
  const at::Tensor silu = gate * sigmoid;
  return at::cat({grad * up * (sigmoid + silu * (1 - sigmoid)), grad * silu},
                 1);
}

at::Tensor ActivateBackward(const at::Tensor& gate_up, const at::Tensor& grad) {
  const bool narrow = IsCpuBf16(gate_up);
  if (!narrow && !IsCpuFloat(gate_up)) {
    return ActivateBackwardAnywhere(gate_up, grad);
  }
  const int64_t ffn = gate_up.size(1) / 2;
  at::Tensor grad_gate_up = at::empty_like(gate_up);
  at::parallel_for(
      0, grad.size(0), kSwigluGrainRows, [&](int64_t begin, int64_t end) {
        if (narrow) {
          cpu_rows::SwiGluBackwardBf16(Bits(gate_up), Bits(grad),
                                       MutableBits(grad_gate_up), ffn, begin,
                                       end);
        } else {
          cpu_rows::SwiGluBackward(
              gate_up.const_data_ptr<float>(), grad.const_data_ptr<float>(),
              grad_gate_up.mutable_data_ptr<float>(), ffn, begin, end);
        }
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
