#include "worker/tasks/language_batch.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/causal_model.h"

namespace attune::worker {
namespace {

std::vector<int64_t> Joined(absl::Span<const int64_t> first,
                            absl::Span<const int64_t> second) {
  std::vector<int64_t> ids(first.begin(), first.end());
  ids.insert(ids.end(), second.begin(), second.end());
  return ids;
}

}  // namespace

LanguageBatch::LanguageBatch(const LanguageModel& model)
    : model_(model),
      encoder_decoder_(dynamic_cast<const EncoderDecoderModel*>(&model)) {}

void LanguageBatch::SharePrompt(const AttachedPrompt& prompt) {
  shared_prompt_ = &prompt;
  if (encoder_decoder_ != nullptr || !prompt.rows.defined()) return;
  root_ = rows_.AddPrompt(prompt.rows);
  row_behind_text_.push_back(-1);
}

int LanguageBatch::AddText(absl::Span<const int64_t> text,
                           const AttachedPrompt* prompt,
                           absl::Span<const int64_t> following) {
  const bool shares = prompt == nullptr;
  if (shares) prompt = shared_prompt_;
  const KvBlock* prefix = prompt != nullptr ? prompt->prefix.get() : nullptr;
  int segment = 0;
  int64_t offset = 0;
  if (encoder_decoder_ != nullptr) {
    encoder_.AddText(text, prompt != nullptr ? prompt->rows : at::Tensor(),
                     /*prefix=*/nullptr);
    const EncoderBatch::Text& added = encoder_.texts().back();
    memories_.push_back(
        {.begin = added.begin, .length = added.end() - added.begin});
    const int64_t start = model_.config().decoder_start_token_id;
    segment = rows_.AddRoot(Joined({&start, 1}, following), prefix);
  } else {
    const std::vector<int64_t> ids = Joined(text, following);
    segment = shares && root_ != PackedBatch::kRoot
                  ? rows_.AddTokens(ids, root_)
                  : rows_.AddRoot(ids, prefix);
    offset = static_cast<int64_t>(text.size()) - 1;
  }
  row_behind_text_.push_back(rows_.RowOf(segment, offset));
  return segment;
}

int LanguageBatch::AddBranch(absl::Span<const int64_t> ids, int parent) {
  row_behind_text_.push_back(-1);
  if (encoder_decoder_ != nullptr) {
    memories_.push_back(DecoderMemory(memories_[parent]));
  }
  return rows_.AddTokens(ids, parent);
}

int LanguageBatch::AddStep(absl::Span<const int64_t> ids,
                           const AttachedPrompt* prompt, KvSequence* sequence,
                           const KvBlock* memory) {
  row_behind_text_.push_back(-1);
  if (encoder_decoder_ != nullptr) memories_.push_back({.cached = memory});
  return rows_.AddRoot(ids, prompt != nullptr ? prompt->prefix.get() : nullptr,
                       sequence);
}

absl::StatusOr<at::Tensor> LanguageBatch::Run() const {
  PackedRows rows = rows_.Build(model_);
  if (encoder_decoder_ == nullptr) {
    return static_cast<const CausalModel&>(model_).Forward(rows);
  }
  DecoderRows decoder = {std::move(rows), memories_, at::Tensor()};
  if (encoder_.num_rows() > 0) {
    ATTUNE_ASSIGN_OR_RETURN(decoder.memory,
                            encoder_decoder_->Encode(encoder_.Build(model_)));
  }
  return encoder_decoder_->Decode(decoder);
}

absl::StatusOr<std::vector<std::shared_ptr<const KvBlock>>> EncodeMemories(
    const EncoderDecoderModel& model, absl::Span<const MemoryText> texts) {
  const at::NoGradGuard no_grad;
  EncoderBatch batch;
  for (const MemoryText& text : texts) {
    batch.AddText(text.text,
                  text.prompt != nullptr ? text.prompt->rows : at::Tensor(),
                  /*prefix=*/nullptr);
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                          model.Encode(batch.Build(model)));
  std::vector<std::shared_ptr<const KvBlock>> memories;
  for (const EncoderBatch::Text& text : batch.texts()) {
    ATTUNE_ASSIGN_OR_RETURN(memories.emplace_back(),
                            model.BuildMemory(hidden.narrow(
                                0, text.begin, text.end() - text.begin)));
  }
  return memories;
}

}  // namespace attune::worker
