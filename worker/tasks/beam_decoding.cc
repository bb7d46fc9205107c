#include "worker/tasks/beam_decoding.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/tasks/answer_decoding.h"

namespace attune::worker {
namespace {

// Room for the tokens behind an input, before sequences have to grow.
constexpr int64_t kBeamReserve = 64;

}  // namespace

BeamDecoding::BeamDecoding(const Tokenizer& tokenizer, BeamOptions options,
                           std::vector<std::string> stops,
                           std::vector<int64_t> input)
    : tokenizer_(tokenizer),
      stops_(std::move(stops)),
      search_(std::move(options)),
      input_(std::move(input)) {
  sequences_.push_back(std::make_unique<KvSequence>(
      static_cast<int64_t>(input_.size()) + kBeamReserve));
}

std::vector<DecodingStep> BeamDecoding::Steps() {
  if (input_length_ == 0) return {{input_, sequences_.front().get()}};
  std::vector<DecodingStep> steps;
  steps.reserve(sequences_.size());
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const std::vector<int64_t>& ids = search_.beams()[i].ids;
    steps.push_back({absl::MakeConstSpan(&ids.back(), 1), sequences_[i].get()});
  }
  return steps;
}

absl::Status BeamDecoding::Advance(std::span<const float> logits) {
  ATTUNE_RETURN_IF_ERROR(search_.Advance(
      logits, [this](const std::vector<int64_t>& ids) -> absl::StatusOr<bool> {
        if (stops_.empty()) return false;
        ATTUNE_ASSIGN_OR_RETURN(
            const std::string text,
            tokenizer_.Decode(ids, /*skip_special_tokens=*/true));
        return FindStopText(text, stops_) != std::string_view::npos;
      }));
  if (input_length_ == 0) input_length_ = sequences_.front()->length();
  if (finished()) {
    sequences_.clear();  // nothing reads them any more
  } else {
    FollowBeams();
  }
  return absl::OkStatus();
}

void BeamDecoding::FollowBeams() {
  const std::vector<BeamSearch::Beam>& beams = search_.beams();
  std::vector<std::unique_ptr<KvSequence>> before = std::move(sequences_);
  sequences_.clear();
  sequences_.resize(beams.size());
  // The first heir of a beam takes what the beam had.
  std::vector<const KvSequence*> sources;
  sources.reserve(before.size());
  for (const auto& sequence : before) sources.push_back(sequence.get());
  for (size_t i = 0; i < beams.size(); ++i) {
    sequences_[i] = std::move(before[beams[i].parent]);
  }
  // The others get copies, in place of what has no heir while there is any.
  auto spare = before.begin();
  for (size_t i = 0; i < beams.size(); ++i) {
    if (sequences_[i] != nullptr) continue;
    const KvSequence& source = *sources[beams[i].parent];
    spare = std::find_if(spare, before.end(),
                         [](const auto& one) { return one != nullptr; });
    sequences_[i] =
        spare != before.end()
            ? std::move(*spare)
            : std::make_unique<KvSequence>(input_length_ + kBeamReserve);
    CopySequence(source, *sequences_[i]);
  }
}

void BeamDecoding::CopySequence(const KvSequence& from, KvSequence& to) const {
  // What stands for the input is the same in all.
  to.Truncate(input_length_);
  const int64_t begin = to.length();
  const int64_t count = from.length() - begin;
  if (count == 0) return;
  for (int64_t layer = 0; layer < from.num_layers(); ++layer) {
    to.Write(layer, from.keys(layer).narrow(1, begin, count),
             from.values(layer).narrow(1, begin, count));
  }
  to.Commit(count);
}

absl::StatusOr<BeamText> BeamDecoding::Text() const {
  BeamText result;
  ATTUNE_ASSIGN_OR_RETURN(
      result.text, tokenizer_.Decode(best().ids, /*skip_special_tokens=*/true));
  const size_t stop = FindStopText(result.text, stops_);
  if (stop != std::string_view::npos) result.text.resize(stop);
  result.num_tokens = static_cast<int64_t>(best().ids.size());
  result.ended = best().ended;
  return result;
}

}  // namespace attune::worker
