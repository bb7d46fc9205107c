#ifndef ATTUNE_WORKER_MODELS_ACTIVATION_H_
#define ATTUNE_WORKER_MODELS_ACTIVATION_H_

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace attune::worker {

// The non-linearity of a block's feed-forward part.
enum class Activation {
  kRelu,
  kSilu,
  kGelu,      // exact, by the error function
  kGeluTanh,  // the approximation by tanh (Hendrycks and Gimpel, 2016)
  kTanh,
};

// The one that Hugging Face's configs call `name`; nothing if it is unknown.
std::optional<Activation> FindActivation(std::string_view name);

// Differentiable.
at::Tensor Activate(const at::Tensor& x, Activation activation);

// activation(gate) * up. gate_up: [n, 2 * ffn], gate first -> [n, ffn]
at::Tensor ActivateGated(const at::Tensor& gate_up, Activation activation);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ACTIVATION_H_
