#include "worker/models/attention_layout.h"

#include <utility>

namespace attune::worker {

AttentionLayout::AttentionLayout(const std::vector<Segment>& segments, Own own)
    : own_(own) {
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
      family.rows.begin = segment.begin;
      family.prefix = root.prefix;
      family.sequence = root.sequence;
      if (root.prefix != nullptr) family.shared_length += root.prefix->length();
      if (root.sequence != nullptr) {
        family.shared_length += root.sequence->length();
      }
      for (int p = segment.parent; p >= 0; p = segments[p].parent) {
        family.ancestors.insert(family.ancestors.begin(),
                                {segments[p].begin, segments[p].length});
        family.shared_length += segments[p].length;
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
