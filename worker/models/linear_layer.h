#ifndef ATTUNE_WORKER_MODELS_LINEAR_LAYER_H_
#define ATTUNE_WORKER_MODELS_LINEAR_LAYER_H_

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace attune::worker {

// What is added to a linear layer of rank far below its own (Hu et al., 2021):
// x down^T up^T, in fp32.
struct LowRank {
  at::Tensor down;  // [rank, in]
  at::Tensor up;    // [out, rank], scaled already
  // The share of x that is dropped on its way down while training, and the
  // numbers of the CPU that decide which.
  double dropout = 0;
  at::Generator generator;

  bool defined() const { return down.defined(); }
};

// y = x W^T + b, and what a low-rank addition adds. Weights are frozen as a
// rule: then nothing is saved for backward, which is dx = dy W; those that ask
// for a gradient get one. Rows go in and come out as fp32; the product runs in
// the weight's dtype where the device multiplies it in hardware. On a CPU
// without bf16 products, bf16 weights are widened to fp32 block by block as
// they are used, which costs a few per cent and is several times faster than
// LibTorch's bf16 fallback. Const after construction, thread-safe unless there
// is dropout.
class LinearLayer {
 public:
  LinearLayer() = default;
  // weight: [out, in], fp32 or bf16, contiguous.
  // bias: [out], fp32; undefined for none.
  explicit LinearLayer(at::Tensor weight, at::Tensor bias = {},
                       LowRank low_rank = {});

  // x: [n, in], or such rows in bf16 -> [n, out]
  at::Tensor Forward(const at::Tensor& x) const;
  // The same, in bf16 where the product comes out so and nothing is added to
  // it: what reads each number once and rounds again, or multiplies next, needs
  // no wide copy. Else as Forward.
  at::Tensor ForwardNarrow(const at::Tensor& x) const;

  // Without the addition.
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }

 private:
  at::Tensor Multiply(const at::Tensor& x, at::ScalarType dtype) const;

  at::Tensor weight_;
  at::Tensor bias_;
  LowRank low_rank_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_LINEAR_LAYER_H_
