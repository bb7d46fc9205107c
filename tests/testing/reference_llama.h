#ifndef ATTUNE_TESTS_TESTING_REFERENCE_LLAMA_H_
#define ATTUNE_TESTS_TESTING_REFERENCE_LLAMA_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/models/model_config.h"

// The Llama family as a textbook has it: padded batches, one operator after the
// other, autograd for everything. The oracle that worker/models is tested
// against.
namespace attune {

class ReferenceLlama {
 public:
  // Reads a model directory; weights become `dtype`.
  static absl::StatusOr<std::unique_ptr<ReferenceLlama>> Load(
      const std::string& directory, at::ScalarType dtype = at::kFloat);

  const worker::ModelConfig& config() const { return config_; }

  // token_ids: [...], int64 -> [..., dim] in the weights' dtype
  at::Tensor Embed(const at::Tensor& token_ids) const;
  // embeddings: [batch, length, dim], padded on the right where rows are
  // shorter; causal, so padding never reaches a real row. -> [batch, length,
  // dim], after the final norm.
  at::Tensor Forward(const at::Tensor& embeddings) const;
  // hidden: [..., dim] -> [..., vocab] in the weights' dtype
  at::Tensor Logits(const at::Tensor& hidden) const;

 private:
  ReferenceLlama() = default;

  const at::Tensor& Weight(const std::string& name) const;
  at::Tensor Norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor Attention(const at::Tensor& x, const std::string& layer) const;
  at::Tensor Ffn(const at::Tensor& x, const std::string& layer) const;

  worker::ModelConfig config_;
  std::map<std::string, at::Tensor> weights_;
};

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_REFERENCE_LLAMA_H_
