#include "worker/models/checkpoint_weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

namespace attune::worker {

CheckpointWeights::CheckpointWeights(Checkpoint& checkpoint,
                                     const at::Device& device,
                                     at::ScalarType dtype,
                                     ParameterTable& table)
    : checkpoint_(checkpoint), device_(device), dtype_(dtype), table_(table) {}

void CheckpointWeights::NameBody(const std::string& canonical_prefix) {
  table_.SetBodyPrefix(canonical_prefix);
}

bool CheckpointWeights::Has(const WeightName& name) const {
  return checkpoint_.Has(name.in_checkpoint);
}

void CheckpointWeights::Ignore(const WeightName& name) {
  checkpoint_.Ignore(name.in_checkpoint);
}

void CheckpointWeights::Drop(const WeightName& name) {
  table_.Drop(name.canonical);
}

at::TensorOptions CheckpointWeights::MatrixOptions() const {
  return at::TensorOptions().device(device_).dtype(dtype_);
}

at::Tensor CheckpointWeights::Table(const WeightName& name, int64_t rows,
                                    int64_t columns) {
  const at::Tensor view = checkpoint_.Take(name.in_checkpoint, {rows, columns});
  if (!view.defined()) return view;
  at::Tensor copy = at::empty({rows, columns}, MatrixOptions());
  copy.copy_(view);
  table_.Add(name, copy);
  return copy;
}

at::Tensor CheckpointWeights::CopyVector(const std::string& name,
                                         int64_t size) {
  const at::Tensor view = checkpoint_.Take(name, {size});
  if (!view.defined()) return view;
  at::Tensor copy = at::empty({size}, MatrixOptions().dtype(at::kFloat));
  copy.copy_(view);
  return copy;
}

at::Tensor CheckpointWeights::Vector(const WeightName& name, int64_t size) {
  at::Tensor vector = CopyVector(name.in_checkpoint, size);
  table_.Add(name, vector);
  return vector;
}

at::Tensor CheckpointWeights::TakeMatrix(const MatrixPart& part,
                                         int64_t columns, bool transposed) {
  const std::string name = part.name.in_checkpoint + ".weight";
  if (!transposed) return checkpoint_.Take(name, {part.rows, columns});
  const at::Tensor view = checkpoint_.Take(name, {columns, part.rows});
  return view.defined() ? view.t() : view;
}

LinearLayer CheckpointWeights::Layer(const std::vector<MatrixPart>& parts,
                                     int64_t columns, const MatrixForm& form) {
  int64_t rows = 0;
  for (const MatrixPart& part : parts) rows += part.rows;
  at::Tensor weights;
  at::Tensor biases;
  int64_t begin = 0;
  bool complete = true;
  for (const MatrixPart& part : parts) {
    const at::Tensor view = TakeMatrix(part, columns, form.transposed);
    complete = complete && view.defined();
    if (complete && !weights.defined()) {
      weights = at::empty({rows, columns}, MatrixOptions());
    }
    if (complete) weights.narrow(0, begin, part.rows).copy_(view);
    if (form.bias) {
      const at::Tensor vector =
          CopyVector(part.name.in_checkpoint + ".bias", part.rows);
      complete = complete && vector.defined();
      if (complete && !biases.defined()) {
        biases = at::empty({rows}, vector.options());
      }
      if (complete) biases.narrow(0, begin, part.rows).copy_(vector);
    }
    begin += part.rows;
  }
  if (!complete) return LinearLayer();
  if (form.row_order.defined()) {
    weights = at::index_select(weights, 0, form.row_order);
    if (biases.defined()) biases = at::index_select(biases, 0, form.row_order);
  }
  LinearLayer layer(weights, biases);
  table_.AddLayer(parts, layer, form);
  return layer;
}

}  // namespace attune::worker
