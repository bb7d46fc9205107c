#ifndef ATTUNE_WORKER_MODELS_CHECKPOINT_WEIGHTS_H_
#define ATTUNE_WORKER_MODELS_CHECKPOINT_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "worker/models/checkpoint.h"
#include "worker/models/parameter_table.h"
#include "worker/models/weight_source.h"

namespace attune::worker {

// Copies weights out of a checkpoint into tensors of the model's own: matrices
// in the model's dtype, vectors in fp32. Writes down where they are.
class CheckpointWeights final : public WeightSource {
 public:
  // `checkpoint` and `table` are borrowed.
  CheckpointWeights(Checkpoint& checkpoint, const at::Device& device,
                    at::ScalarType dtype, ParameterTable& table);

  void NameBody(const std::string& canonical_prefix) override;
  bool Has(const WeightName& name) const override;
  void Ignore(const WeightName& name) override;
  void Drop(const WeightName& name) override;
  at::Tensor Table(const WeightName& name, int64_t rows,
                   int64_t columns) override;
  at::Tensor Vector(const WeightName& name, int64_t size) override;
  LinearLayer Layer(const std::vector<MatrixPart>& parts, int64_t columns,
                    const MatrixForm& form) override;
  absl::Status Finish() const override { return checkpoint_.Finish(); }
  at::Device device() const override { return device_; }
  at::ScalarType dtype() const override { return dtype_; }

 private:
  at::TensorOptions MatrixOptions() const;
  // Undefined if it is missing.
  at::Tensor CopyVector(const std::string& name, int64_t size);
  at::Tensor TakeMatrix(const MatrixPart& part, int64_t columns,
                        bool transposed);

  Checkpoint& checkpoint_;
  const at::Device device_;
  const at::ScalarType dtype_;
  ParameterTable& table_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CHECKPOINT_WEIGHTS_H_
