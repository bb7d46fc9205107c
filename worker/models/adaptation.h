#ifndef ATTUNE_WORKER_MODELS_ADAPTATION_H_
#define ATTUNE_WORKER_MODELS_ADAPTATION_H_

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// The two matrices of a low-rank addition to a linear layer (Hu et al., 2021):
// W x + scale * up (down x).
struct LowRankPair {
  at::Tensor down;  // PEFT's lora_A: [rank, in]
  at::Tensor up;    // PEFT's lora_B: [out, rank]
};

// How the weights of a tuned model differ from the base's. Tensors are fp32; in
// training they are part of the graph.
struct Adaptation {
  // Weights in place of the base's, by canonical name, in the checkpoint's
  // shape.
  TensorMap weights;
  // Additions, by the canonical name of the module ("model.layers.0.mlp.up").
  std::map<std::string, LowRankPair> low_rank;
  double low_rank_scale = 1;
  // Whether to add them into copies of the layers' weights; only where no
  // gradient is wanted.
  bool merged = false;
  // The share of a layer's input that additions do not see in training, and
  // the CPU's numbers that decide which. 0 when serving.
  double dropout = 0;
  at::Generator generator;

  bool empty() const { return weights.empty() && low_rank.empty(); }
  size_t num_bytes() const;       // of the tensors
  size_t low_rank_bytes() const;  // of those of the additions
};

// A model of the base's architecture with its weights, shared, but for those
// that `adaptation` changes. `base` must have been loaded from a checkpoint,
// and may go before the result. With grad mode on the result's forward is
// differentiable with regard to the adaptation's tensors; making it takes no
// longer than the changed weights. InvalidArgument naming a weight that the
// base does not have or has in another shape. copied_bytes, if not null, is set
// to the memory of the weights that the result does not share with the base;
// additions that are not merged are none.
absl::StatusOr<std::unique_ptr<BaseModel>> AdaptModel(
    const BaseModel& base, const Adaptation& adaptation,
    size_t* copied_bytes = nullptr);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ADAPTATION_H_
