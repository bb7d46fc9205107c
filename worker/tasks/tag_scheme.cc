#include "worker/tasks/tag_scheme.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

absl::Status TagsError(std::string_view what) {
  return MakeError(Reason::kInvalidData, what);
}

absl::Status CheckTags(absl::Span<const std::string> tags) {
  std::set<std::string_view> seen;
  for (const std::string& tag : tags) {
    if (!TagScheme::IsTag(tag)) {
      return TagsError(
          Concat("tag '", tag,
                 "' is neither 'O' nor 'B-', 'I-', 'E-' or 'S-' and a type "
                 "without white space, such as 'B-LOC'; rename it"));
    }
    if (!seen.insert(tag).second) {
      return TagsError(Concat("tag '", tag, "' is given twice; leave one out"));
    }
  }
  if (tags.size() < 2) {
    return TagsError(
        Concat("a token classification needs at least two tags, not ",
               tags.size(), "; add those of its entities, such as 'B-LOC'"));
  }
  if (!seen.contains(kOutsideTag)) {
    return TagsError(Concat("tag 'O' is missing among ", tags.size(),
                            " tags; add it for words outside of entities"));
  }
  return absl::OkStatus();
}

// What a sequence that goes on with a tag is worth, for each tag.
struct Prospects {
  std::vector<double> scores;
  // Apart from the scores, as a tag that may be can have probability 0.
  std::vector<bool> possible;

  // The better of two tags; -1 is none.
  int Better(int a, int b) const {
    if (b < 0 || !possible[b]) return a;
    if (a < 0) return b;
    if (scores[a] == scores[b]) return std::min(a, b);
    return scores[b] > scores[a] ? b : a;
  }
};

}  // namespace

bool TagScheme::IsTag(std::string_view text) {
  if (text == kOutsideTag) return true;
  constexpr std::string_view kPrefixes = "BIES";
  return text.size() > 2 && text[1] == '-' &&
         kPrefixes.find(text[0]) != std::string_view::npos &&
         std::none_of(text.begin(), text.end(), absl::ascii_isspace);
}

absl::StatusOr<TagScheme> TagScheme::Create(
    absl::Span<const std::string> tags) {
  if (absl::Status sound = CheckTags(tags); !sound.ok()) return sound;
  TagScheme scheme;
  std::map<std::string_view, int> index_of;
  for (std::string_view text : tags) {
    Tag& tag = scheme.tags_.emplace_back();
    tag.prefix = text[0];
    if (tag.prefix == 'O') {
      scheme.outside_ = static_cast<int>(scheme.tags_.size()) - 1;
      continue;
    }
    const std::string_view type = text.substr(2);
    const auto [place, is_new] = index_of.emplace(type, scheme.types_.size());
    if (is_new) scheme.types_.emplace_back(type);
    tag.type = place->second;
  }
  scheme.FindPlaces();
  return scheme;
}

void TagScheme::FindPlaces() {
  std::vector<bool> has_begin(types_.size());
  std::vector<bool> has_end(types_.size());
  std::vector<std::vector<int>> inner(types_.size());
  for (size_t i = 0; i < tags_.size(); ++i) {
    const Tag& tag = tags_[i];
    if (tag.prefix == 'B') has_begin[tag.type] = true;
    if (tag.prefix == 'E') has_end[tag.type] = true;
    if (tag.prefix == 'I' || tag.prefix == 'E') {
      inner[tag.type].push_back(static_cast<int>(i));
    }
  }
  for (Tag& tag : tags_) {
    if (tag.prefix == 'I' || tag.prefix == 'E') {
      tag.begins = !has_begin[tag.type];
    }
    if (tag.prefix == 'B' || tag.prefix == 'I') {
      tag.ends = !has_end[tag.type];
      tag.continuations = inner[tag.type];
    }
  }
}

std::vector<TaggedSpan> TagScheme::EntitiesOf(
    absl::Span<const int> tags) const {
  std::vector<TaggedSpan> spans;
  const Tag outside;
  const Tag* before = &outside;
  for (int i = 0; i < static_cast<int>(tags.size()); ++i) {
    const Tag& tag = tags_[tags[i]];
    const std::vector<int>& continuations = before->continuations;
    if (std::find(continuations.begin(), continuations.end(), tags[i]) !=
        continuations.end()) {
      spans.back().end = i + 1;
    } else if (tag.prefix != 'O') {
      spans.push_back({.type = types_[tag.type], .begin = i, .end = i + 1});
    }
    before = &tag;
  }
  return spans;
}

std::vector<int> TagScheme::Decode(
    absl::Span<const std::vector<double>> log_probabilities) const {
  if (log_probabilities.empty()) return {};
  const int num_words = static_cast<int>(log_probabilities.size());
  const int num_tags = static_cast<int>(tags_.size());
  // From the last word to the first, so that ties are settled at the first.
  Prospects onward{.scores = log_probabilities.back(), .possible = {}};
  for (const Tag& tag : tags_) onward.possible.push_back(tag.ends);
  const auto best_beginning = [&] {
    int best = outside_;
    for (int i = 0; i < num_tags; ++i) {
      if (tags_[i].begins) best = onward.Better(best, i);
    }
    return best;
  };
  std::vector<std::vector<int>> next(num_words, std::vector<int>(num_tags));
  for (int word = num_words - 2; word >= 0; --word) {
    const int beginning = best_beginning();
    // A tag that may not end has E-X after it, which may be anywhere else.
    Prospects here{.scores = log_probabilities[word],
                   .possible = std::vector<bool>(num_tags, true)};
    for (int i = 0; i < num_tags; ++i) {
      int best = tags_[i].ends ? beginning : -1;
      for (int inner : tags_[i].continuations) {
        best = onward.Better(best, inner);
      }
      next[word][i] = best;
      here.scores[i] += onward.scores[best];
    }
    onward = std::move(here);
  }

  std::vector<int> sequence = {best_beginning()};
  for (int word = 0; word + 1 < num_words; ++word) {
    sequence.push_back(next[word][sequence.back()]);
  }
  return sequence;
}

}  // namespace attune::worker
