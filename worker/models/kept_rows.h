#ifndef ATTUNE_WORKER_MODELS_KEPT_ROWS_H_
#define ATTUNE_WORKER_MODELS_KEPT_ROWS_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// The dtype in which layers keep the rows that a backward pass needs again.
// They are most of what a training step takes beside the weights. While an
// object lives, fp32 rows of this thread's forward passes are kept in its
// dtype; without one they stay as they are. Where not narrow(), the forward
// pass computes with the rows themselves, so only gradients are rounded, to
// 2^-9 of each number in bfloat16. Objects nest.
class KeptRows {
 public:
  // dtype: float or bfloat16
  explicit KeptRows(at::ScalarType dtype);
  ~KeptRows();
  KeptRows(const KeptRows&) = delete;
  KeptRows& operator=(const KeptRows&) = delete;

  // Whether rows are kept in bf16 on a CPU that multiplies bf16. Then layers
  // that can also hand them from product to product as bf16, without wide
  // copies in between: each number is rounded once, as it is before a product
  // in any case.
  static bool narrow();
  // What to save of `rows`: themselves or a narrower copy.
  static at::Tensor Keep(const at::Tensor& rows);
  // Saved rows as the backward pass computes with them, in the dtype of `grad`.
  static at::Tensor Restore(const at::Tensor& kept, const at::Tensor& grad);

 private:
  at::ScalarType outer_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_KEPT_ROWS_H_
