#ifndef ATTUNE_WORKER_MODELS_BF16_PRODUCT_H_
#define ATTUNE_WORKER_MODELS_BF16_PRODUCT_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// Products of rows with a frozen bf16 weight on a CPU that multiplies bf16,
// summed in fp32. LibTorch's own bring the whole weight into the order that the
// instructions take before they begin, through memory; here a thread does so
// with as much as its cache holds and uses it at once. That takes a few per
// cent off a product of a training step's rows and a tenth to a third off one
// of few rows. LibTorch's profiler sees both.

// Whether the CPU, the shape and the number of threads make it worth it.
bool HasBf16Product(const at::Tensor& weight);

// x: [n, in] of any dtype, weight: [out, in] -> x weight^T, [n, out] in `dtype`
// (float or bfloat16)
at::Tensor Bf16Product(const at::Tensor& x, const at::Tensor& weight,
                       at::ScalarType dtype);

// grad: [n, out], weight: [out, in] -> grad weight, [n, in]
at::Tensor Bf16TransposedProduct(const at::Tensor& grad,
                                 const at::Tensor& weight,
                                 at::ScalarType dtype);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_BF16_PRODUCT_H_
