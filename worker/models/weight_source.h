#ifndef ATTUNE_WORKER_MODELS_WEIGHT_SOURCE_H_
#define ATTUNE_WORKER_MODELS_WEIGHT_SOURCE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/linear_layer.h"

namespace attune::worker {

// A weight's name as the checkpoint spells it, and as the architecture's own
// class does: checkpoints of the bare body leave its prefix out.
struct WeightName {
  std::string in_checkpoint;
  std::string canonical;
};

// One matrix of a linear layer, and its bias.
struct MatrixPart {
  WeightName name;  // without ".weight" and ".bias"
  int64_t rows = 0;
};

// How a linear layer lies in the checkpoint.
struct MatrixForm {
  bool bias = false;
  bool transposed = false;  // weights are [columns, rows] there (GPT-2)
  // [rows], int64: row i of the layer is row row_order[i] of the checkpoint's.
  // Undefined: they are the same. Only for layers of one part.
  at::Tensor row_order;
};

// Where an architecture gets its weights while a model is built. What is
// missing comes out undefined and is named by Finish. Not thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // Says with what the canonical names of the body's weights begin, heads
  // aside.
  virtual void NameBody(const std::string& canonical_prefix) = 0;

  virtual bool Has(const WeightName& name) const = 0;
  // A tensor that may be there and is not needed.
  virtual void Ignore(const WeightName& name) = 0;
  // A tensor that was taken and turned out not to be needed.
  virtual void Drop(const WeightName& name) = 0;

  // [rows, columns], in the model's dtype.
  virtual at::Tensor Table(const WeightName& name, int64_t rows,
                           int64_t columns) = 0;
  // [size], fp32.
  virtual at::Tensor Vector(const WeightName& name, int64_t size) = 0;
  // The parts' rows one below the other: [sum of rows, columns].
  virtual LinearLayer Layer(const std::vector<MatrixPart>& parts,
                            int64_t columns, const MatrixForm& form) = 0;

  // FailedPrecondition naming missing, misshapen and surplus tensors.
  virtual absl::Status Finish() const = 0;

  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;  // of matrices
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_WEIGHT_SOURCE_H_
