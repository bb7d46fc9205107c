#include "worker/models/llama.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/swiglu.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {
namespace {

// Position of every row: [rows], int64.
at::Tensor RowPositions(const std::vector<Segment>& segments, int64_t rows) {
  at::Tensor positions =
      at::empty({rows}, at::TensorOptions().dtype(at::kLong));
  int64_t* out = positions.mutable_data_ptr<int64_t>();
  const std::vector<int64_t> first = SegmentPositions(segments);
  for (size_t i = 0; i < segments.size(); ++i) {
    for (int64_t j = 0; j < segments[i].length; ++j) *out++ = first[i] + j;
  }
  return positions;
}

}  // namespace

// Takes the weights of one checkpoint.
class Llama::Loader {
 public:
  Loader(const ModelConfig& config, Checkpoint& checkpoint,
         const at::Device& device, at::ScalarType dtype)
      : config_(config),
        checkpoint_(checkpoint),
        options_(at::TensorOptions().device(device).dtype(dtype)) {}

  absl::StatusOr<std::unique_ptr<Llama>> Load() {
    auto model = std::unique_ptr<Llama>(new Llama());
    model->config_ = config_;
    const std::vector<int64_t> table = {config_.vocab_size, config_.dim};
    model->embeddings_ = Merge({{"model.embed_tokens.weight", table}});
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      model->layers_.push_back(LoadLayer(Concat("model.layers.", i, ".")));
    }
    model->final_norm_ = LoadNorm("model.norm.weight");
    if (config_.tie_embeddings) {
      checkpoint_.Ignore("lm_head.weight");
      model->head_ = FrozenLinear(model->embeddings_);
    } else {
      model->head_ = FrozenLinear(Merge({{"lm_head.weight", table}}));
    }
    ATTUNE_RETURN_IF_ERROR(checkpoint_.Finish());
    model->rotary_ = Rotary(config_, options_.device());
    return model;
  }

 private:
  struct Part {
    std::string name;
    std::vector<int64_t> shape;  // [rows, columns]
  };

  Layer LoadLayer(const std::string& prefix) {
    const int64_t dim = config_.dim;
    const int64_t ffn = config_.ffn_dim;
    const int64_t q = config_.num_heads * config_.head_dim;
    const int64_t kv = config_.num_kv_heads * config_.head_dim;
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    checkpoint_.Ignore(attention + "rotary_emb.inv_freq");
    Layer layer;
    layer.attention_norm = LoadNorm(prefix + "input_layernorm.weight");
    layer.qkv = FrozenLinear(Merge({{attention + "q_proj.weight", {q, dim}},
                                    {attention + "k_proj.weight", {kv, dim}},
                                    {attention + "v_proj.weight", {kv, dim}}}));
    layer.output =
        FrozenLinear(Merge({{attention + "o_proj.weight", {dim, q}}}));
    layer.ffn_norm = LoadNorm(prefix + "post_attention_layernorm.weight");
    layer.gate_up = FrozenLinear(Merge({{mlp + "gate_proj.weight", {ffn, dim}},
                                        {mlp + "up_proj.weight", {ffn, dim}}}));
    layer.down = FrozenLinear(Merge({{mlp + "down_proj.weight", {dim, ffn}}}));
    return layer;
  }

  RmsNorm LoadNorm(const std::string& name) {
    const at::Tensor weight = checkpoint_.Take(name, {config_.dim});
    if (!weight.defined()) return RmsNorm();
    at::Tensor copy = at::empty({config_.dim}, options_.dtype(at::kFloat));
    copy.copy_(weight);
    return RmsNorm(std::move(copy), config_.norm_epsilon);
  }

  // The parts' rows one below the other, in one tensor of the model's own.
  // Undefined if a part is missing; Finish reports it.
  at::Tensor Merge(const std::vector<Part>& parts) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.shape[0];
    at::Tensor merged;
    int64_t begin = 0;
    bool complete = true;
    for (const Part& part : parts) {
      const at::Tensor view = checkpoint_.Take(part.name, part.shape);
      complete = complete && view.defined();
      if (!complete) continue;
      if (!merged.defined()) {
        merged = at::empty({rows, part.shape[1]}, options_);
      }
      merged.narrow(0, begin, part.shape[0]).copy_(view);
      begin += part.shape[0];
    }
    return complete ? merged : at::Tensor();
  }

  const ModelConfig& config_;
  Checkpoint& checkpoint_;
  const at::TensorOptions options_;
};

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(const ModelConfig& config,
                                                   Checkpoint& checkpoint,
                                                   const at::Device& device,
                                                   at::ScalarType dtype) {
  try {
    at::NoGradGuard no_grad;
    return Loader(config, checkpoint, device, dtype).Load();
  } catch (const std::exception& error) {
    return StatusOfException(error, "loading a llama model");
  }
}

at::Tensor Llama::Embed(const at::Tensor& token_ids) const {
  at::NoGradGuard no_grad;
  return at::index_select(embeddings_, 0, token_ids.to(device()))
      .to(at::kFloat);
}

at::Tensor Llama::Run(const PackedRows& rows, LayerKeys* keep) const {
  const auto layout = c10::make_intrusive<AttentionLayout>(rows.segments);
  const at::Tensor positions =
      RowPositions(rows.segments, rows.embeddings.size(0)).to(device());
  at::Tensor residual = rows.embeddings;
  at::Tensor delta;  // what the last block adds to the residual stream
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const int64_t index = static_cast<int64_t>(i);
    auto normed = layer.attention_norm.Forward(residual, delta);
    const QkvRows qkv =
        rotary_.Forward(layer.qkv.Forward(normed.normalised), positions);
    const at::Tensor attended = PackedAttention(qkv, index, layout);
    for (const Segment& segment : rows.segments) {
      if (segment.sequence == nullptr) continue;
      segment.sequence->Write(index,
                              qkv.k.narrow(1, segment.begin, segment.length),
                              qkv.v.narrow(1, segment.begin, segment.length));
    }
    if (keep != nullptr) {
      keep->keys.push_back(qkv.k);
      keep->values.push_back(qkv.v);
    }
    normed =
        layer.ffn_norm.Forward(normed.residual, layer.output.Forward(attended));
    residual = normed.residual;
    delta =
        layer.down.Forward(SwiGlu(layer.gate_up.Forward(normed.normalised)));
  }
  for (const Segment& segment : rows.segments) {
    if (segment.sequence != nullptr) segment.sequence->Commit(segment.length);
  }
  return final_norm_.Forward(residual, delta).normalised;
}

absl::StatusOr<at::Tensor> Llama::CheckedRun(const PackedRows& rows,
                                             LayerKeys* keep) const {
  ATTUNE_RETURN_IF_ERROR(CheckPackedRows(rows, config_));
  if (at::GradMode::is_enabled() && rows.embeddings.requires_grad()) {
    for (const Segment& segment : rows.segments) {
      if (segment.sequence != nullptr) {
        return absl::InvalidArgumentError(
            "a cached sequence can't be part of a differentiable batch");
      }
    }
  }
  try {
    return Run(rows, keep);
  } catch (const std::exception& error) {
    return StatusOfException(error, "llama forward");
  }
}

absl::StatusOr<at::Tensor> Llama::Forward(const PackedRows& rows) const {
  return CheckedRun(rows, /*keep=*/nullptr);
}

absl::StatusOr<std::shared_ptr<const KvBlock>> Llama::BuildPrefix(
    const at::Tensor& embeddings) const {
  at::NoGradGuard no_grad;
  try {
    PackedRows rows;
    rows.embeddings = embeddings.detach();
    rows.segments = {{.begin = 0, .length = embeddings.size(0)}};
    LayerKeys keys;
    ATTUNE_RETURN_IF_ERROR(CheckedRun(rows, &keys).status());
    return std::make_shared<const KvBlock>(std::move(keys.keys),
                                           std::move(keys.values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a prefix");
  }
}

at::Tensor Llama::Logits(const at::Tensor& hidden) const {
  return head_.Forward(hidden);
}

at::Tensor Llama::LogitsFor(const at::Tensor& hidden,
                            const at::Tensor& token_ids) const {
  at::Tensor rows;
  {
    at::NoGradGuard no_grad;
    rows = at::index_select(head_.weight(), 0, token_ids.to(device()))
               .to(at::kFloat);
  }
  return at::mm(hidden, rows.t());
}

}  // namespace attune::worker
