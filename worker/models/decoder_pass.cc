#include "worker/models/decoder_pass.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

namespace attune::worker {
namespace {

// Also where they are named one by one, as in a step of a generation.
bool WantsAll(const PackedRows& rows) {
  if (rows.wanted.empty()) return true;
  if (static_cast<int64_t>(rows.wanted.size()) != rows.embeddings.size(0)) {
    return false;
  }
  for (size_t i = 0; i < rows.wanted.size(); ++i) {
    if (rows.wanted[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// What is cached is fp32: gradients of the parts of a batch add up in it.
at::Tensor Wide(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

}  // namespace

absl::Status DecoderPass::CheckSequences(const std::vector<Segment>& segments,
                                         bool differentiable) {
  if (!differentiable) return absl::OkStatus();
  for (const Segment& segment : segments) {
    if (segment.sequence != nullptr) {
      return absl::InvalidArgumentError(
          "a cached sequence can't be part of a differentiable batch");
    }
  }
  return absl::OkStatus();
}

DecoderPass::DecoderPass(const PackedRows& rows, int64_t num_layers,
                         const at::Device& device, LayerKeys* keep)
    : rows_(rows),
      keep_(keep),
      layout_(c10::make_intrusive<AttentionLayout>(rows.segments)),
      positions_(
          RowPositions(rows.segments, rows.embeddings.size(0)).to(device)),
      num_layers_(num_layers) {
  if (!WantsAll(rows)) wanted_ = at::tensor(rows.wanted).to(device);
}

at::Tensor DecoderPass::Attend(const QkvRows& qkv, const AttentionRule& rule) {
  at::Tensor attended = PackedAttention(qkv, layer_, layout_, rule);
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence == nullptr) continue;
    segment.sequence->Write(
        layer_, Wide(qkv.k.narrow(1, segment.begin, segment.length)),
        Wide(qkv.v.narrow(1, segment.begin, segment.length)));
  }
  if (keep_ != nullptr) {
    keep_->keys.push_back(Wide(qkv.k));
    keep_->values.push_back(Wide(qkv.v));
  }
  ++layer_;
  return attended;
}

at::Tensor DecoderPass::Wanted(const at::Tensor& x) const {
  if (layer_ < num_layers_ || !wanted_.defined()) return x;
  return at::index_select(x, 0, wanted_);
}

void DecoderPass::Commit() {
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence != nullptr) segment.sequence->Commit(segment.length);
  }
}

}  // namespace attune::worker
