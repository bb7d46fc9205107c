#ifndef ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_
#define ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/rms_norm.h"
#include "worker/models/weight_source.h"

namespace attune::worker {

// Asks a source for the weights of an architecture, by name and shape, in words
// that architectures use. What is missing comes out undefined and is named by
// Finish. Used while a model is built; not thread-safe.
class WeightLoader {
 public:
  // `source` is borrowed.
  explicit WeightLoader(WeightSource& source) : source_(source) {}

  // From here on every name begins with the first of `prefixes` under which
  // the checkpoint has `probe`; with the first of all if none has it. That one
  // is the canonical prefix.
  void ChoosePrefix(std::initializer_list<const char*> prefixes,
                    const std::string& probe);
  const std::string& prefix() const { return prefix_; }
  // The same loader without prefix, for heads beside the body.
  WeightLoader Top() const;

  bool Has(const std::string& name) const;
  // A tensor that may be there and is not needed.
  void Ignore(const std::string& name);
  // A tensor that was taken and turned out not to be needed.
  void Drop(const std::string& name);

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
  LinearLayer Merged(const std::vector<Part>& parts, int64_t columns,
                     bool bias);
  LinearLayer Linear(const std::string& name, int64_t rows, int64_t columns,
                     bool bias);
  // A layer with a bias whose checkpoint holds the transpose: [columns, rows]
  // (GPT-2).
  LinearLayer Transposed(const std::string& name, int64_t rows,
                         int64_t columns);
  // A layer whose rows stand in another order than in the checkpoint, see
  // MatrixForm (GPT-NeoX). row_order: [rows], int64
  LinearLayer Reordered(const std::string& name, int64_t columns, bool bias,
                        const at::Tensor& row_order);

  // `name` without ".weight" and ".bias". `offset`: see Vector.
  RmsNorm Rms(const std::string& name, int64_t dim, double epsilon,
              double offset = 0);
  LayerNorm Layer(const std::string& name, int64_t dim, double epsilon);

  at::Device device() const { return source_.device(); }

  // FailedPrecondition naming missing, misshapen and surplus tensors.
  absl::Status Finish() const { return source_.Finish(); }

 private:
  WeightName NameOf(const std::string& name) const {
    return {prefix_ + name, canonical_prefix_ + name};
  }

  WeightSource& source_;
  std::string prefix_;
  std::string canonical_prefix_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_WEIGHT_LOADER_H_
