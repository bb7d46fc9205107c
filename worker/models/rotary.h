#ifndef ATTUNE_WORKER_MODELS_ROTARY_H_
#define ATTUNE_WORKER_MODELS_ROTARY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/models/model_config.h"

namespace attune::worker {

// The angles that the rows of a batch are rotated by. Empty: not at all.
struct RotaryAngles {
  at::Tensor cosines;  // [n, rotary_dim / 2], fp32
  at::Tensor sines;

  int64_t rotary_dim() const {
    return cosines.defined() ? 2 * cosines.size(1) : 0;
  }
};

// Rotary positions (Su et al., 2021; halves, as Hugging Face pairs them) with
// the frequency scalings that checkpoints name: linear (Chen et al., 2023) and
// Llama 3's. Const after construction, thread-safe.
class Rotary {
 public:
  Rotary() = default;
  // `rotary_dim`: how many elements of a head are rotated, even.
  Rotary(const RotaryConfig& config, int64_t rotary_dim,
         const at::Device& device);

  // positions: [n], int64
  RotaryAngles At(const at::Tensor& positions) const;

 private:
  at::Tensor frequencies_;  // [rotary_dim / 2], fp32
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ROTARY_H_
