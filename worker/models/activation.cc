#include "worker/models/activation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>

#include <utility>

#include "worker/models/swiglu.h"

namespace attune::worker {

std::optional<Activation> FindActivation(std::string_view name) {
  constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"relu", Activation::kRelu},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"tanh", Activation::kTanh},
  };
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  return std::nullopt;
}

at::Tensor Activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kTanh:
      return at::tanh(x);
  }
  return x;
}

at::Tensor ActivateGated(const at::Tensor& gate_up, Activation activation) {
  if (activation == Activation::kSilu) return SwiGlu(gate_up);
  const int64_t ffn = gate_up.size(1) / 2;
  return Activate(gate_up.narrow(1, 0, ffn), activation) *
         gate_up.narrow(1, ffn, ffn);
}

}  // namespace attune::worker
