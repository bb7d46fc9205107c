#include "worker/models/attention_batch.h"

#include <algorithm>
#include <utility>

namespace attune::worker {

AttentionBatch::AttentionBatch(QkvRows qkv, int64_t layer,
                               const AttentionLayout& layout,
                               AttentionRule rule)
    : rows(std::move(qkv)),
      kv_heads(rows.k.size(0)),
      num_rows(layout.families().empty()
                   ? 0
                   : layout.families().back().rows.begin +
                         layout.families().back().rows.length),
      group(num_rows == 0 ? 1 : rows.q.size(1) / num_rows),
      layer(layer),
      own(layout.own()),
      rule(std::move(rule)) {}

cpu_rows::ScorePieces AttentionBatch::Sight(const Family& family,
                                            const Range& segment,
                                            int64_t inside,
                                            int64_t head) const {
  const int64_t own_keys = OwnKeys(segment);
  const int64_t num_hidden = family.NumHidden(layer);
  // The keys' places count their positions.
  const int64_t position = family.shared_length + inside;
  const float* bias = nullptr;
  if (rule.bias.defined()) {
    const int64_t width = rule.bias.size(1);
    bias = rule.bias.const_data_ptr<float>() + head * width + (width - 1) / 2 -
           position;
  }
  return {
      .shared = nullptr,
      .shared_length = family.shared_length,
      .own = nullptr,
      .own_length = own_keys,
      .hidden = rule.window == 0
                    ? num_hidden
                    : std::max(num_hidden, position + 1 - rule.window),
      .visible = own == AttentionLayout::Own::kCausal ? inside + 1 : own_keys,
      .bias = bias};
}

std::vector<AttentionBatch::CachedPiece> AttentionBatch::CachedPieces(
    const Family& family) const {
  std::vector<CachedPiece> pieces;
  const bool has_prefix =
      family.prefix != nullptr && family.prefix->length() > 0;
  if (has_prefix && family.NumHidden(layer) == 0) {
    pieces.push_back(
        {family.prefix->keys(layer), family.prefix->values(layer), 0});
  }
  if (family.sequence != nullptr && family.sequence->length() > 0) {
    pieces.push_back({family.sequence->keys(layer),
                      family.sequence->values(layer),
                      has_prefix ? family.prefix->length() : 0});
  }
  return pieces;
}

}  // namespace attune::worker
