#include "worker/models/attention_layout.h"

#include <c10/core/GradMode.h>

#include <utility>

namespace attune::worker {

AttentionLayout::AttentionLayout(const std::vector<Segment>& segments, Own own)
    : own_(own) {
  const bool differentiable = at::GradMode::is_enabled();
  const int64_t num_rows =
      segments.empty() ? 0 : segments.back().begin + segments.back().length;
  std::vector<int> roots;  // per segment
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    roots.push_back(segment.parent < 0 ? static_cast<int>(i)
                                       : roots[segment.parent]);
    const bool joins = i > 0 && segment.parent == segments[i - 1].parent &&
                       segment.prefix == segments[i - 1].prefix &&
                       segment.sequence == nullptr &&
                       segments[i - 1].sequence == nullptr;
    if (!joins) {
      const Segment& root = segments[roots[i]];
      Family family;
      Range trained;
      family.rows.begin = segment.begin;
      family.sequence = root.sequence;
      if (root.prefix != nullptr) {
        family.shared_length += root.prefix->length();
        family.prefix_length = root.prefix->length();
        family.prefix_layers = {root.prefix->first_layer(),
                                root.prefix->num_layers()};
      }
      if (root.sequence != nullptr) {
        family.shared_length += root.sequence->length();
      }
      if (root.prefix != nullptr && differentiable &&
          root.prefix->requires_grad()) {
        trained = PlaceOf(*root.prefix, num_rows);
      } else {
        family.prefix = root.prefix;
      }
      for (int p = segment.parent; p >= 0; p = segments[p].parent) {
        family.ancestors.insert(family.ancestors.begin(),
                                {segments[p].begin, segments[p].length});
        family.shared_length += segments[p].length;
      }
      // Positions count it first.
      if (trained.length > 0) {
        family.ancestors.insert(family.ancestors.begin(), trained);
      }
      families_.push_back(std::move(family));
    }
    Family& family = families_.back();
    family.segment_of_row.insert(family.segment_of_row.end(), segment.length,
                                 static_cast<int32_t>(family.segments.size()));
    family.segments.push_back({segment.begin, segment.length});
    family.rows.length += segment.length;
  }
}

AttentionLayout::Range AttentionLayout::PlaceOf(const KvBlock& prefix,
                                                int64_t num_rows) {
  int64_t begin = num_rows;
  for (const KvBlock* other : trained_) {
    if (other == &prefix) return {begin, prefix.length()};
    begin += other->length();
  }
  trained_.push_back(&prefix);
  return {begin, prefix.length()};
}

AttentionLayout::AttentionLayout(const std::vector<CrossSegment>& segments)
    : own_(Own::kNothing) {
  const CrossSegment* before = nullptr;
  for (const CrossSegment& segment : segments) {
    const bool joins = before != nullptr && segment.cached == before->cached &&
                       segment.memory.begin == before->memory.begin &&
                       segment.memory.length == before->memory.length;
    if (!joins) {
      Family family;
      family.rows.begin = segment.rows.begin;
      family.prefix = segment.cached;
      if (segment.cached == nullptr) family.ancestors = {segment.memory};
      family.shared_length = segment.cached != nullptr
                                 ? segment.cached->length()
                                 : segment.memory.length;
      families_.push_back(std::move(family));
    }
    Family& family = families_.back();
    family.segment_of_row.insert(family.segment_of_row.end(),
                                 segment.rows.length,
                                 static_cast<int32_t>(family.segments.size()));
    family.segments.push_back(segment.rows);
    family.rows.length += segment.rows.length;
    before = &segment;
  }
}

}  // namespace attune::worker
