#include "tests/bench/padded_llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/safetensors.h"

namespace attune::bench {
namespace {

constexpr char kTable[] = "model.embed_tokens.weight";

// x: [batch, heads, length, head_dim], halves rotated by position.
at::Tensor Rotate(const at::Tensor& x, double theta) {
  const int64_t half = x.size(3) / 2;
  const at::Tensor exponents = at::arange(half, x.options()) / half;
  const at::Tensor angles = at::outer(at::arange(x.size(2), x.options()),
                                      1.0 / at::pow(theta, exponents));
  const at::Tensor c = at::cos(angles);
  const at::Tensor s = at::sin(angles);
  const at::Tensor a = x.narrow(3, 0, half);
  const at::Tensor b = x.narrow(3, half, half);
  return at::cat({a * c - b * s, b * c + a * s}, 3);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PaddedLlama>> PaddedLlama::Load(
    const std::string& directory, at::ScalarType dtype) {
  std::unique_ptr<PaddedLlama> model(new PaddedLlama());
  ATTUNE_ASSIGN_OR_RETURN(model->config_, worker::ReadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                          worker::Checkpoint::Files(directory));
  for (const std::string& path : paths) {
    ATTUNE_ASSIGN_OR_RETURN(worker::Safetensors file,
                            worker::Safetensors::Open(path));
    for (const auto& [name, entry] : file.entries()) {
      ATTUNE_ASSIGN_OR_RETURN(const at::Tensor tensor, file.Get(name));
      if (tensor.dim() == 1) {
        model->norms_[name] = tensor.to(at::kFloat);
      } else {
        model->products_[name] = worker::LinearLayer(tensor.to(dtype));
      }
    }
  }
  return model;
}

at::Tensor PaddedLlama::Embed(const at::Tensor& token_ids) const {
  const at::NoGradGuard no_grad;
  return at::embedding(products_.at(kTable).weight(), token_ids).to(at::kFloat);
}

at::Tensor PaddedLlama::Multiply(const at::Tensor& x,
                                 const std::string& name) const {
  return products_.at(name + ".weight")
      .Forward(x.reshape({-1, x.size(2)}))
      .view({x.size(0), x.size(1), -1});
}

at::Tensor PaddedLlama::Norm(const at::Tensor& x,
                             const std::string& name) const {
  const at::Tensor scale =
      at::rsqrt(x.square().mean({-1}, /*keepdim=*/true) + config_.norm_epsilon);
  return norms_.at(name + ".weight") * (x * scale);
}

at::Tensor PaddedLlama::Attention(const at::Tensor& x,
                                  const std::string& layer) const {
  const int64_t length = x.size(1);
  const auto heads = [&](const char* name) {
    return Multiply(x, Concat(layer, name))
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
  return Multiply(at::matmul(at::softmax(scores, -1), v)
                      .transpose(1, 2)
                      .reshape({x.size(0), length, -1}),
                  Concat(layer, "self_attn.o_proj"));
}

at::Tensor PaddedLlama::Ffn(const at::Tensor& x,
                            const std::string& layer) const {
  const at::Tensor gate = Multiply(x, Concat(layer, "mlp.gate_proj"));
  const at::Tensor up = Multiply(x, Concat(layer, "mlp.up_proj"));
  return Multiply(at::silu(gate) * up, Concat(layer, "mlp.down_proj"));
}

at::Tensor PaddedLlama::Logits(const at::Tensor& embeddings) const {
  at::Tensor x = embeddings;
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string layer = Concat("model.layers.", i, ".");
    x = x + Attention(Norm(x, Concat(layer, "input_layernorm")), layer);
    x = x + Ffn(Norm(x, Concat(layer, "post_attention_layernorm")), layer);
  }
  return Multiply(Norm(x, "model.norm"),
                  config_.tie_embeddings ? "model.embed_tokens" : "lm_head");
}

}  // namespace attune::bench
