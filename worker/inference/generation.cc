#include "worker/inference/generation.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/tasks/answer_decoding.h"
#include "worker/tasks/prompt_marks.h"

namespace attune::worker {

int64_t RoomForGeneration(int64_t max_new_tokens, int64_t context) {
  return std::min(max_new_tokens, std::max<int64_t>(1, context / 2));
}

Generation::Generation(const LoadedModel& model, std::vector<int64_t> input,
                       const DecodingOptions& decoding, int64_t end_token)
    : max_new_tokens_(decoding.max_new_tokens),
      end_tokens_(EndTokens(model, end_token)),
      num_input_tokens_(static_cast<int>(CountTokens(input))),
      sequence_(static_cast<int64_t>(input.size()) +
                std::min<int64_t>(decoding.max_new_tokens, 64)),
      sampler_(decoding.sampling),
      stream_(*model.tokenizer, /*skip_special_tokens=*/true),
      stops_(decoding.stop),
      pending_(std::move(input)) {
  if (decoding.num_beams <= 1) return;
  beams_ = std::make_unique<BeamDecoding>(
      *model.tokenizer,
      BeamOptions{.num_beams = decoding.num_beams,
                  .length_penalty = decoding.length_penalty,
                  .max_new_tokens = max_new_tokens_,
                  .end_tokens = end_tokens_},
      decoding.stop, pending_);
}

std::vector<DecodingStep> Generation::Steps() {
  if (beams_ != nullptr) return beams_->Steps();
  return {{pending_, &sequence_}};
}

void Generation::BeginApart(std::shared_ptr<const KvBlock> memory,
                            int64_t start) {
  memory_ = std::move(memory);
  pending_.assign(1, start);
  if (beams_ != nullptr) beams_->BeginApart(start);
}

bool Generation::EndsText(int64_t id) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), id) !=
         end_tokens_.end();
}

absl::StatusOr<std::string> Generation::AdvanceBeams(
    std::span<const float> logits) {
  ATTUNE_RETURN_IF_ERROR(beams_->Advance(logits));
  if (!beams_->finished()) return std::string();
  ATTUNE_ASSIGN_OR_RETURN(BeamText chosen, beams_->Text());
  text_ = std::move(chosen.text);
  num_generated_tokens_ = static_cast<int>(chosen.num_tokens);
  finish_reason_ = chosen.ended ? attune::v1::FINISH_REASON_STOP
                                : attune::v1::FINISH_REASON_LENGTH;
  return text_;
}

absl::StatusOr<std::string> Generation::Advance(std::span<const float> logits) {
  if (beams_ != nullptr) return AdvanceBeams(logits);
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
