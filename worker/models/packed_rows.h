#ifndef ATTUNE_WORKER_MODELS_PACKED_ROWS_H_
#define ATTUNE_WORKER_MODELS_PACKED_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// One run of consecutive rows of a packed batch. A row sees, in this order: the
// cached keys of `prefix`, those of `sequence`, all rows of its ancestors in
// this batch (the parent chain), and the rows of its own segment up to itself.
struct Segment {
  int64_t begin = 0;   // first row
  int64_t length = 0;  // > 0
  int parent = -1;     // index of a segment before this one; -1: a root
  // Only roots name these two; a child sees those of its root. Borrowed.
  const KvBlock* prefix = nullptr;
  KvSequence* sequence = nullptr;  // Forward appends this segment to it
};

// A batch without padding. Segments form a forest, parents before children
// (prompt > sample texts > label words), and tile the rows in order. A segment
// that names a sequence has no children. Position of a segment's first row =
// lengths of its root's prefix and sequence and of all ancestors.
struct PackedRows {
  at::Tensor embeddings;  // [rows, embedding_dim], fp32
  std::vector<Segment> segments;
  // The rows whose hidden states are returned, in this order; empty: all. What
  // only others need is not worked out: the last layer's feed-forward.
  std::vector<int64_t> wanted = {};
};

// Checks what PackedRows promises: row ranges, parents, cache shapes, total
// lengths within config.context_length, wanted rows. InvalidArgument naming
// what breaks it.
absl::Status CheckPackedRows(const PackedRows& rows, const ModelConfig& config);

// Whether a block has keys and values of all layers, in the shape that the
// decoder of a model gives them.
bool IsBlockOf(const KvBlock& block, const ModelConfig& config);

// Position of every segment's first row. `segments` must be valid.
std::vector<int64_t> SegmentPositions(const std::vector<Segment>& segments);

// One more than the last position of the batch. `segments` must be valid.
int64_t NumPositions(const std::vector<Segment>& segments);

// Position of every row: [rows], int64, on the CPU. `segments` must be valid.
at::Tensor RowPositions(const std::vector<Segment>& segments, int64_t rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PACKED_ROWS_H_
