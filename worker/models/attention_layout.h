#ifndef ATTUNE_WORKER_MODELS_ATTENTION_LAYOUT_H_
#define ATTUNE_WORKER_MODELS_ATTENTION_LAYOUT_H_

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <vector>

#include "worker/models/kv_cache.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// Which rows of a batch see which keys, worked out once per batch and used by
// every layer. Immutable.
class AttentionLayout : public torch::CustomClassHolder {
 public:
  // What a row sees of its own segment.
  enum class Own {
    kCausal,  // up to itself
    kAll,     // all of it: encoders
    kNothing  // cross attention
  };
  struct Range {
    int64_t begin = 0;
    int64_t length = 0;
  };
  // Rows of a batch that see the rows `memory` of another one, or the cached
  // keys `cached` in their place. Borrowed.
  struct CrossSegment {
    Range rows;
    Range memory;
    const KvBlock* cached = nullptr;
  };

  // Neighbouring segments that see the same keys beside their own: siblings
  // under one parent, or texts behind one cached prompt. Their scores with the
  // shared keys are one product.
  struct Family {
    Range rows;
    const KvBlock* prefix = nullptr;  // constant
    // Of the prefix, constant or trained: what stands first in the shared keys,
    // and the layers that have it. In others these keys are hidden.
    int64_t prefix_length = 0;
    Range prefix_layers;
    const KvSequence* sequence = nullptr;
    // Rows of the batch, oldest first; of a trained prefix those behind the
    // batch, see trained().
    std::vector<Range> ancestors;
    int64_t shared_length = 0;  // all keys before the segments' own
    std::vector<Range> segments;
    std::vector<int32_t> segment_of_row;  // per row of the family

    // How many of the first shared keys no row sees in `layer`.
    int64_t NumHidden(int64_t layer) const {
      const int64_t place = layer - prefix_layers.begin;
      return place >= 0 && place < prefix_layers.length ? 0 : prefix_length;
    }
  };

  explicit AttentionLayout(const std::vector<Segment>& segments,
                           Own own = Own::kCausal);
  // Neighbours that see the same memory become one family.
  explicit AttentionLayout(const std::vector<CrossSegment>& segments);

  Own own() const { return own_; }
  const std::vector<Family>& families() const { return families_; }
  // Prefixes that are part of the graph: with grad mode on, those that require
  // gradients. In attention their keys and values stand behind the rows of the
  // batch, in this order.
  const std::vector<const KvBlock*>& trained() const { return trained_; }

 private:
  // Where a trained prefix stands, behind `num_rows` rows of the batch.
  Range PlaceOf(const KvBlock& prefix, int64_t num_rows);

  Own own_;
  std::vector<Family> families_;
  std::vector<const KvBlock*> trained_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTENTION_LAYOUT_H_
