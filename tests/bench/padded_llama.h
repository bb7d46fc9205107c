#ifndef ATTUNE_TESTS_BENCH_PADDED_LLAMA_H_
#define ATTUNE_TESTS_BENCH_PADDED_LLAMA_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/models/linear_layer.h"
#include "worker/models/model_config.h"

namespace attune::bench {

// The Llama family over padded batches, as a training library runs it: every
// row of every sample, one operator after the other, autograd. It multiplies
// matrices by the worker's own LinearLayer, so that a comparison with the
// worker measures the way a batch is run and not the matrix library.
class PaddedLlama {
 public:
  // Reads a model directory; weights of the products become `dtype`.
  static absl::StatusOr<std::unique_ptr<PaddedLlama>> Load(
      const std::string& directory, at::ScalarType dtype);

  // token_ids: [batch, length], int64 -> [batch, length, dim], fp32
  at::Tensor Embed(const at::Tensor& token_ids) const;
  // embeddings: [batch, length, dim], fp32, padded on the right
  // -> logits of every row, [batch, length, vocab], fp32
  at::Tensor Logits(const at::Tensor& embeddings) const;

 private:
  PaddedLlama() = default;

  // x: [batch, length, in] -> [batch, length, out]
  at::Tensor Multiply(const at::Tensor& x, const std::string& name) const;
  at::Tensor Norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor Attention(const at::Tensor& x, const std::string& layer) const;
  at::Tensor Ffn(const at::Tensor& x, const std::string& layer) const;

  worker::ModelConfig config_;
  std::map<std::string, worker::LinearLayer> products_;
  std::map<std::string, at::Tensor> norms_;
};

}  // namespace attune::bench

#endif  // ATTUNE_TESTS_BENCH_PADDED_LLAMA_H_
