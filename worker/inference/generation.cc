#include "worker/inference/generation.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status_macros.h"

namespace attune::worker {

int64_t RoomForGeneration(int64_t max_new_tokens, int64_t context) {
  return std::min(max_new_tokens, std::max<int64_t>(1, context / 2));
}

Generation::Generation(const LoadedModel& model, std::vector<int64_t> input,
                       const DecodingOptions& decoding, int64_t end_token)
    : model_(model),
      max_new_tokens_(decoding.max_new_tokens),
      end_token_(end_token),
      num_input_tokens_(static_cast<int>(input.size())),
      sequence_(static_cast<int64_t>(input.size()) +
                std::min<int64_t>(decoding.max_new_tokens, 64)),
      sampler_(decoding.sampling),
      stream_(*model.tokenizer, /*skip_special_tokens=*/true),
      stops_(decoding.stop),
      pending_(std::move(input)) {}

void Generation::BeginApart(std::shared_ptr<const KvBlock> memory,
                            int64_t start) {
  memory_ = std::move(memory);
  pending_.assign(1, start);
}

bool Generation::EndsText(int64_t id) const {
  const std::vector<int64_t>& ends = model_.stop_token_ids;
  return id == end_token_ ||
         std::find(ends.begin(), ends.end(), id) != ends.end();
}

absl::StatusOr<std::string> Generation::Advance(std::span<const float> logits) {
  ATTUNE_ASSIGN_OR_RETURN(const int64_t id, sampler_.Next(logits));
  std::string piece;
  if (EndsText(id)) {
    finish_reason_ = attune::v1::FINISH_REASON_STOP;
  } else {
    ++num_generated_tokens_;
    ATTUNE_ASSIGN_OR_RETURN(const std::string text, stream_.Push(id));
    piece = stops_.Push(text);
    if (stops_.stopped()) {
      finish_reason_ = attune::v1::FINISH_REASON_STOP;
    } else if (num_generated_tokens_ >= max_new_tokens_) {
      finish_reason_ = attune::v1::FINISH_REASON_LENGTH;
    }
  }
  if (finished() && !stops_.stopped()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string rest, stream_.Finish());
    piece += stops_.Push(rest);
    piece += stops_.Finish();
    if (stops_.stopped()) {
      finish_reason_ = attune::v1::FINISH_REASON_STOP;
    }
  }
  pending_.assign(1, id);
  text_ += piece;
  return piece;
}

}  // namespace attune::worker
