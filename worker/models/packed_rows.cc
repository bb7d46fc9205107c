#include "worker/models/packed_rows.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

absl::Status Bad(size_t index, std::string_view what) {
  return absl::InvalidArgumentError(Concat("segment ", index, ": ", what));
}

// Positions before the first row of a root.
int64_t CachedLength(const Segment& segment) {
  return (segment.prefix != nullptr ? segment.prefix->length() : 0) +
         (segment.sequence != nullptr ? segment.sequence->length() : 0);
}

// Whether keys and values have the shape that the model gives them.
bool AreOf(const at::Tensor& keys, const ModelConfig& config) {
  return keys.size(0) == config.num_kv_heads && keys.size(2) == config.head_dim;
}

bool IsOf(const KvBlock& block, const ModelConfig& config) {
  const int64_t first = block.first_layer();
  return first >= 0 && block.num_layers() >= 1 &&
         first + block.num_layers() <= config.NumCachedLayers() &&
         AreOf(block.keys(first), config);
}

bool IsOf(const KvSequence& sequence, const ModelConfig& config) {
  return sequence.num_layers() == config.NumCachedLayers() &&
         AreOf(sequence.keys(0), config);
}

absl::Status CheckSegment(const PackedRows& rows, size_t index,
                          const ModelConfig& config) {
  const Segment& segment = rows.segments[index];
  if (segment.length < 1) {
    return Bad(index, Concat("length ", segment.length, " is not positive"));
  }
  if (segment.parent < -1 || segment.parent >= static_cast<int>(index)) {
    return Bad(index, Concat("parent ", segment.parent, " is not before it"));
  }
  if (segment.parent >= 0) {
    if (segment.prefix != nullptr || segment.sequence != nullptr) {
      return Bad(index, "only a root may name a prefix or a sequence");
    }
    if (rows.segments[segment.parent].sequence != nullptr) {
      return Bad(index,
                 "its parent is a cached sequence, which has no "
                 "children");
    }
  }
  if (segment.prefix != nullptr && !IsOf(*segment.prefix, config)) {
    return Bad(index, "its prefix was made by another model");
  }
  if (segment.sequence != nullptr && segment.sequence->length() > 0 &&
      !IsOf(*segment.sequence, config)) {
    return Bad(index, "its sequence was made by another model");
  }
  return absl::OkStatus();
}

}  // namespace

bool IsBlockOf(const KvBlock& block, const ModelConfig& config) {
  return block.num_layers() == config.NumCachedLayers() && IsOf(block, config);
}

std::vector<int64_t> SegmentPositions(const std::vector<Segment>& segments) {
  std::vector<int64_t> positions;
  positions.reserve(segments.size());
  for (const Segment& segment : segments) {
    positions.push_back(segment.parent < 0
                            ? CachedLength(segment)
                            : positions[segment.parent] +
                                  segments[segment.parent].length);
  }
  return positions;
}

absl::Status CheckPackedRows(const PackedRows& rows,
                             const ModelConfig& config) {
  if (!rows.embeddings.defined() || rows.embeddings.dim() != 2 ||
      rows.embeddings.size(1) != config.embedding_dim) {
    return absl::InvalidArgumentError(
        Concat("embeddings must be [rows, ", config.embedding_dim, "]"));
  }
  if (rows.segments.empty()) {
    return absl::InvalidArgumentError("a batch needs at least one segment");
  }
  int64_t end = 0;
  std::set<const KvSequence*> sequences;
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const Segment& segment = rows.segments[i];
    if (segment.begin != end) {
      return Bad(i, Concat("begins at row ", segment.begin, ", not ", end));
    }
    ATTUNE_RETURN_IF_ERROR(CheckSegment(rows, i, config));
    if (segment.sequence != nullptr &&
        !sequences.insert(segment.sequence).second) {
      return Bad(i, "its sequence occurs twice");
    }
    if (segment.length > rows.embeddings.size(0) - end) {
      return Bad(i, Concat("ends after row ", rows.embeddings.size(0)));
    }
    end += segment.length;
  }
  if (end != rows.embeddings.size(0)) {
    return absl::InvalidArgumentError(Concat("segments cover ", end, " of ",
                                             rows.embeddings.size(0), " rows"));
  }
  for (int64_t row : rows.wanted) {
    if (row < 0 || row >= end) {
      return absl::InvalidArgumentError(
          Concat("row ", row, " is wanted, and there are ", end));
    }
  }
  const std::vector<int64_t> positions = SegmentPositions(rows.segments);
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const int64_t length = positions[i] + rows.segments[i].length;
    if (length > config.context_length) {
      return Bad(i, Concat("reaches position ", length,
                           ", beyond the context of ", config.context_length));
    }
  }
  return absl::OkStatus();
}

int64_t NumPositions(const std::vector<Segment>& segments) {
  const std::vector<int64_t> first = SegmentPositions(segments);
  int64_t count = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    count = std::max(count, first[i] + segments[i].length);
  }
  return count;
}

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

}  // namespace attune::worker
