#ifndef ATTUNE_WORKER_MODELS_SWIGLU_H_
#define ATTUNE_WORKER_MODELS_SWIGLU_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// silu(gate) * up (Shazeer, 2020) in one pass, forward and backward.
// gate_up: [n, 2 * ffn], gate first -> [n, ffn]; of bf16, bf16, computed in
// fp32.
at::Tensor SwiGlu(const at::Tensor& gate_up);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_SWIGLU_H_
