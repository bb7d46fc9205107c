#ifndef ATTUNE_WORKER_MODELS_RMS_NORM_H_
#define ATTUNE_WORKER_MODELS_RMS_NORM_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// Adds to the residual stream and normalises it (Zhang and Sennrich, 2019), in
// one pass. The weight is frozen as a rule; one that asks for a gradient gets
// it. Const after construction, thread-safe.
class RmsNorm {
 public:
  // What a layer goes on with.
  struct Output {
    at::Tensor residual;    // x + delta: [n, dim]
    at::Tensor normalised;  // residual / rms(residual) * weight: [n, dim]
  };

  RmsNorm() = default;
  // weight: [dim], fp32
  RmsNorm(at::Tensor weight, double epsilon);

  // x: [n, dim]; delta: [n, dim] or undefined, for nothing to add; bf16 as
  // LinearLayer::ForwardNarrow gives it is widened. Where no
  // gradient is asked for, `delta` is used up: its memory becomes the residual.
  Output Forward(const at::Tensor& x, const at::Tensor& delta) const;
  // The same; while KeptRows is narrow, `normalised` is bf16 for the product
  // that takes it, unless `delta` is fp32.
  Output ForwardNarrow(const at::Tensor& x, const at::Tensor& delta) const;

 private:
  Output Run(const at::Tensor& x, const at::Tensor& delta, bool narrow) const;

  at::Tensor weight_;
  double epsilon_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_RMS_NORM_H_
