#include "worker/models/weight_loader.h"

#include <ATen/ops/empty.h>

#include <utility>

namespace attune::worker {

WeightLoader::WeightLoader(Checkpoint& checkpoint, const at::Device& device,
                           at::ScalarType dtype)
    : checkpoint_(checkpoint), device_(device), dtype_(dtype) {}

void WeightLoader::ChoosePrefix(std::initializer_list<const char*> prefixes,
                                const std::string& probe) {
  prefix_ = *prefixes.begin();
  for (const char* prefix : prefixes) {
    if (checkpoint_.Has(prefix + probe)) {
      prefix_ = prefix;
      return;
    }
  }
}

WeightLoader WeightLoader::Top() const {
  return WeightLoader(checkpoint_, device_, dtype_);
}

bool WeightLoader::Has(const std::string& name) const {
  return checkpoint_.Has(prefix_ + name);
}

void WeightLoader::Ignore(const std::string& name) {
  checkpoint_.Ignore(prefix_ + name);
}

at::TensorOptions WeightLoader::MatrixOptions() const {
  return at::TensorOptions().device(device_).dtype(dtype_);
}

at::Tensor WeightLoader::Table(const std::string& name, int64_t rows,
                               int64_t columns) {
  const at::Tensor view = checkpoint_.Take(prefix_ + name, {rows, columns});
  if (!view.defined()) return view;
  at::Tensor copy = at::empty({rows, columns}, MatrixOptions());
  copy.copy_(view);
  return copy;
}

at::Tensor WeightLoader::Vector(const std::string& name, int64_t size,
                                double offset) {
  const at::Tensor view = checkpoint_.Take(prefix_ + name, {size});
  if (!view.defined()) return view;
  at::Tensor copy = at::empty({size}, MatrixOptions().dtype(at::kFloat));
  copy.copy_(view);
  return offset == 0 ? copy : copy.add_(offset);
}

FrozenLinear WeightLoader::Merged(const std::vector<Part>& parts,
                                  int64_t columns, bool bias) {
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.rows;
  at::Tensor weights;
  at::Tensor biases;
  int64_t begin = 0;
  bool complete = true;
  for (const Part& part : parts) {
    const at::Tensor view =
        checkpoint_.Take(prefix_ + part.name + ".weight", {part.rows, columns});
    complete = complete && view.defined();
    if (complete && !weights.defined()) {
      weights = at::empty({rows, columns}, MatrixOptions());
    }
    if (complete) weights.narrow(0, begin, part.rows).copy_(view);
    if (bias) {
      const at::Tensor vector = Vector(part.name + ".bias", part.rows);
      complete = complete && vector.defined();
      if (complete && !biases.defined()) {
        biases = at::empty({rows}, vector.options());
      }
      if (complete) biases.narrow(0, begin, part.rows).copy_(vector);
    }
    begin += part.rows;
  }
  return complete ? FrozenLinear(weights, biases) : FrozenLinear();
}

FrozenLinear WeightLoader::Linear(const std::string& name, int64_t rows,
                                  int64_t columns, bool bias) {
  return Merged({{name, rows}}, columns, bias);
}

FrozenLinear WeightLoader::Transposed(const std::string& name, int64_t rows,
                                      int64_t columns) {
  const at::Tensor view =
      checkpoint_.Take(prefix_ + name + ".weight", {columns, rows});
  at::Tensor biases = Vector(name + ".bias", rows);
  if (!view.defined() || !biases.defined()) return FrozenLinear();
  at::Tensor weights = at::empty({rows, columns}, MatrixOptions());
  weights.copy_(view.t());
  return FrozenLinear(weights, std::move(biases));
}

RmsNorm WeightLoader::Rms(const std::string& name, int64_t dim, double epsilon,
                          double offset) {
  at::Tensor weight = Vector(name + ".weight", dim, offset);
  return weight.defined() ? RmsNorm(std::move(weight), epsilon) : RmsNorm();
}

LayerNorm WeightLoader::Layer(const std::string& name, int64_t dim,
                              double epsilon) {
  // BERT's oldest checkpoints name them as TensorFlow does.
  const bool old = Has(name + ".gamma");
  at::Tensor weight = Vector(name + (old ? ".gamma" : ".weight"), dim);
  at::Tensor bias = Vector(name + (old ? ".beta" : ".bias"), dim);
  return LayerNorm(std::move(weight), std::move(bias), epsilon);
}

}  // namespace attune::worker
