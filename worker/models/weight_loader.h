#ifndef ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_
#define ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/checkpoint.h"
#include "worker/models/frozen_linear.h"
#include "worker/models/layer_norm.h"
#include "worker/models/rms_norm.h"

namespace attune::worker {

// Takes the weights of an architecture out of a checkpoint, by name and shape,
// into tensors of the model's own: matrices in the model's dtype, vectors in
// fp32. What is missing comes out undefined and is named by Finish. Used while
// a model is loaded; not thread-safe.
class WeightLoader {
 public:
  // `checkpoint` is borrowed.
  WeightLoader(Checkpoint& checkpoint, const at::Device& device,
               at::ScalarType dtype);

  // From here on every name begins with the first of `prefixes` under which
  // the checkpoint has `probe`; with the first of all if none has it.
  void ChoosePrefix(std::initializer_list<const char*> prefixes,
                    const std::string& probe);
  const std::string& prefix() const { return prefix_; }
  // The same loader without prefix, for heads beside the body.
  WeightLoader Top() const;

  bool Has(const std::string& name) const;
  // A tensor that may be there and is not needed.
  void Ignore(const std::string& name);

  // [rows, columns], in the model's dtype.
  at::Tensor Table(const std::string& name, int64_t rows, int64_t columns);
  // [size], fp32; `offset` is added to every element.
  at::Tensor Vector(const std::string& name, int64_t size, double offset = 0);

  struct Part {
    std::string name;  // without ".weight"
    int64_t rows = 0;
  };
  // The parts' rows one below the other: [sum of rows, columns], with biases
  // where `bias` says so.
  FrozenLinear Merged(const std::vector<Part>& parts, int64_t columns,
                      bool bias);
  FrozenLinear Linear(const std::string& name, int64_t rows, int64_t columns,
                      bool bias);
  // A layer whose checkpoint holds the transpose: [columns, rows] (GPT-2).
  FrozenLinear Transposed(const std::string& name, int64_t rows,
                          int64_t columns);

  // `name` without ".weight" and ".bias". `offset`: see Vector.
  RmsNorm Rms(const std::string& name, int64_t dim, double epsilon,
              double offset = 0);
  LayerNorm Layer(const std::string& name, int64_t dim, double epsilon);

  const at::Device& device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

  // FailedPrecondition naming missing, misshapen and surplus tensors.
  absl::Status Finish() const { return checkpoint_.Finish(); }

 private:
  at::TensorOptions MatrixOptions() const;

  Checkpoint& checkpoint_;
  const at::Device device_;
  const at::ScalarType dtype_;
  std::string prefix_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_
