#include "tests/testing/reference_llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/safetensors.h"

namespace attune {
namespace {

// x: [batch, heads, length, head_dim], halves rotated by position.
at::Tensor Rotate(const at::Tensor& x, double theta) {
  const int64_t half = x.size(3) / 2;
  const auto options = x.options().dtype(at::kFloat);
  const at::Tensor exponents =
      at::arange(half, options) / static_cast<double>(half);
  const at::Tensor frequencies = 1.0 / at::pow(theta, exponents);
  const at::Tensor angles =
      at::outer(at::arange(x.size(2), options), frequencies);
  const at::Tensor c = at::cos(angles).to(x.scalar_type());
  const at::Tensor s = at::sin(angles).to(x.scalar_type());
  const at::Tensor a = x.narrow(3, 0, half);
  const at::Tensor b = x.narrow(3, half, half);
  return at::cat({a * c - b * s, b * c + a * s}, 3);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReferenceLlama>> ReferenceLlama::Load(
    const std::string& directory, at::ScalarType dtype) {
  auto model = std::unique_ptr<ReferenceLlama>(new ReferenceLlama());
  ATTUNE_ASSIGN_OR_RETURN(model->config_, worker::ReadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                          worker::Checkpoint::Files(directory));
  for (const std::string& path : paths) {
    ATTUNE_ASSIGN_OR_RETURN(worker::Safetensors file,
                            worker::Safetensors::Open(path));
    for (const auto& [name, entry] : file.entries()) {
      ATTUNE_ASSIGN_OR_RETURN(at::Tensor tensor, file.Get(name));
      model->weights_[name] = tensor.to(dtype);
    }
  }
  return model;
}

const at::Tensor& ReferenceLlama::Weight(const std::string& name) const {
  return weights_.at(name + ".weight");
}

at::Tensor ReferenceLlama::Embed(const at::Tensor& token_ids) const {
  return at::embedding(Weight("model.embed_tokens"), token_ids);
}

at::Tensor ReferenceLlama::Norm(const at::Tensor& x,
                                const std::string& name) const {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(
      at::mean(wide * wide, {-1}, /*keepdim=*/true) + config_.norm_epsilon);
  return Weight(name) * (wide * scale).to(x.scalar_type());
}

at::Tensor ReferenceLlama::Attention(const at::Tensor& x,
                                     const std::string& layer) const {
  const int64_t length = x.size(1);
  const auto heads = [&](const char* name) {
    return at::linear(x, Weight(layer + name))
        .view({x.size(0), length, -1, config_.head_dim})
        .transpose(1, 2);
  };
  const int64_t group = config_.num_heads / config_.num_kv_heads;
  const at::Tensor q = Rotate(heads("self_attn.q_proj"), config_.rotary.theta);
  const at::Tensor k = Rotate(heads("self_attn.k_proj"), config_.rotary.theta)
                           .repeat_interleave(group, 1);
  const at::Tensor v = heads("self_attn.v_proj").repeat_interleave(group, 1);
  const at::Tensor mask =
      at::full({length, length}, -std::numeric_limits<float>::infinity(),
               q.options())
          .triu(1);
  const at::Tensor scores =
      at::matmul(q, k.transpose(2, 3)) /
          std::sqrt(static_cast<double>(config_.head_dim)) +
      mask;
  const at::Tensor probabilities =
      at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  const at::Tensor out = at::matmul(probabilities, v)
                             .transpose(1, 2)
                             .reshape({x.size(0), length, -1});
  return at::linear(out, Weight(layer + "self_attn.o_proj"));
}

at::Tensor ReferenceLlama::Ffn(const at::Tensor& x,
                               const std::string& layer) const {
  const at::Tensor gate = at::linear(x, Weight(layer + "mlp.gate_proj"));
  const at::Tensor up = at::linear(x, Weight(layer + "mlp.up_proj"));
  return at::linear(at::silu(gate) * up, Weight(layer + "mlp.down_proj"));
}

at::Tensor ReferenceLlama::Forward(const at::Tensor& embeddings) const {
  at::Tensor x = embeddings;
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string layer = Concat("model.layers.", i, ".");
    x = x + Attention(Norm(x, layer + "input_layernorm"), layer);
    x = x + Ffn(Norm(x, layer + "post_attention_layernorm"), layer);
  }
  return Norm(x, "model.norm");
}

at::Tensor ReferenceLlama::Logits(const at::Tensor& hidden) const {
  return at::linear(hidden, Weight(config_.tie_embeddings ? "model.embed_tokens"
                                                          : "lm_head"));
}

}  // namespace attune
