#include "worker/models/decoder_pass.h"

namespace attune::worker {

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

DecoderPass::DecoderPass(const PackedRows& rows, const at::Device& device,
                         LayerKeys* keep)
    : rows_(rows),
      keep_(keep),
      layout_(c10::make_intrusive<AttentionLayout>(rows.segments)),
      positions_(
          RowPositions(rows.segments, rows.embeddings.size(0)).to(device)) {}

at::Tensor DecoderPass::Attend(const QkvRows& qkv, const AttentionRule& rule) {
  at::Tensor attended = PackedAttention(qkv, layer_, layout_, rule);
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence == nullptr) continue;
    segment.sequence->Write(layer_,
                            qkv.k.narrow(1, segment.begin, segment.length),
                            qkv.v.narrow(1, segment.begin, segment.length));
  }
  if (keep_ != nullptr) {
    keep_->keys.push_back(qkv.k);
    keep_->values.push_back(qkv.v);
  }
  ++layer_;
  return attended;
}

void DecoderPass::Commit() {
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence != nullptr) segment.sequence->Commit(segment.length);
  }
}

}  // namespace attune::worker
