#include "worker/tasks/language_batch.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/causal_model.h"

namespace attune::worker {
namespace {

// Rows that one more level of shared rows must save: it adds products of its
// own to every layer's attention.
constexpr int64_t kMinSavedRows = 8;

std::vector<int64_t> Joined(absl::Span<const int64_t> first,
                            absl::Span<const int64_t> second) {
  std::vector<int64_t> ids(first.begin(), first.end());
  ids.insert(ids.end(), second.begin(), second.end());
  return ids;
}

}  // namespace

int64_t SharedBeginning(absl::Span<const absl::Span<const int64_t>> texts) {
  if (texts.size() < 2) return 0;
  const absl::Span<const int64_t> first = texts.front();
  size_t length = first.size();
  for (const absl::Span<const int64_t> text : texts) {
    length = std::min(length, text.size() - 1);
    const auto end = first.begin() + length;
    length =
        std::mismatch(first.begin(), end, text.begin()).first - first.begin();
  }
  const int64_t saved = static_cast<int64_t>(length * (texts.size() - 1));
  return saved < kMinSavedRows ? 0 : static_cast<int64_t>(length);
}

LanguageBatch::LanguageBatch(const LanguageModel& model)
    : model_(model),
      encoder_decoder_(dynamic_cast<const EncoderDecoderModel*>(&model)) {}

void LanguageBatch::SharePrompt(const AttachedPrompt& prompt) {
  shared_prompt_ = &prompt;
  if (encoder_decoder_ != nullptr || !prompt.rows.defined()) return;
  root_ = rows_.AddPrompt(prompt.rows);
  row_behind_text_.push_back(-1);
}

std::vector<int> LanguageBatch::AddTexts(absl::Span<const BatchText> texts,
                                         bool share_beginnings) {
  std::vector<int> segments;
  for (size_t begin = 0; begin < texts.size();) {
    size_t end = begin + 1;
    while (end < texts.size() && texts[end].prompt == texts[begin].prompt) {
      ++end;
    }
    const absl::Span<const BatchText> neighbours =
        texts.subspan(begin, end - begin);
    // What an encoder makes of the beginning depends on all of the text.
    const Beginning beginning = share_beginnings && encoder_decoder_ == nullptr
                                    ? AddBeginning(neighbours)
                                    : Beginning();
    for (const BatchText& text : neighbours) {
      segments.push_back(AddText(text, beginning));
    }
    begin = end;
  }
  return segments;
}

LanguageBatch::Beginning LanguageBatch::AddBeginning(
    absl::Span<const BatchText> texts) {
  std::vector<absl::Span<const int64_t>> tokens;
  for (const BatchText& text : texts) tokens.push_back(text.text);
  const int64_t length = SharedBeginning(tokens);
  if (length == 0) return {};
  const int segment =
      AddInFront(tokens.front().first(length), texts.front().prompt);
  row_behind_text_.push_back(-1);
  return {.segment = segment, .length = length};
}

at::Tensor LanguageBatch::MarkedRowsOf(const AttachedPrompt* prompt) const {
  if (prompt == nullptr) prompt = shared_prompt_;
  return prompt != nullptr ? prompt->marked_rows : at::Tensor();
}

int LanguageBatch::AddInFront(absl::Span<const int64_t> ids,
                              const AttachedPrompt* prompt) {
  const at::Tensor marked = MarkedRowsOf(prompt);
  if (prompt == nullptr && root_ != PackedBatch::kRoot) {
    return rows_.AddTokens(ids, root_, marked);
  }
  if (prompt == nullptr) prompt = shared_prompt_;
  return rows_.AddRoot(ids, prompt != nullptr ? prompt->prefix.get() : nullptr,
                       /*sequence=*/nullptr, marked);
}

int LanguageBatch::AddText(const BatchText& text, const Beginning& beginning) {
  int segment = 0;
  int64_t offset = 0;
  if (encoder_decoder_ != nullptr) {
    const AttachedPrompt* prompt =
        text.prompt != nullptr ? text.prompt : shared_prompt_;
    encoder_.AddText(text.text, prompt != nullptr ? prompt->rows : at::Tensor(),
                     /*prefix=*/nullptr, MarkedRowsOf(prompt));
    const EncoderBatch::Text& added = encoder_.texts().back();
    memories_.push_back(
        {.begin = added.begin, .length = added.end() - added.begin});
    const int64_t start = model_.config().decoder_start_token_id;
    segment = rows_.AddRoot(Joined({&start, 1}, text.following),
                            prompt != nullptr ? prompt->prefix.get() : nullptr);
  } else {
    const absl::Span<const int64_t> rest = text.text.subspan(beginning.length);
    const std::vector<int64_t> ids = Joined(rest, text.following);
    segment = beginning.length > 0 ? rows_.AddTokens(ids, beginning.segment,
                                                     MarkedRowsOf(text.prompt))
                                   : AddInFront(ids, text.prompt);
    offset = static_cast<int64_t>(rest.size()) - 1;
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
                       sequence, MarkedRowsOf(prompt));
}

absl::StatusOr<at::Tensor> LanguageBatch::Run(
    std::vector<int64_t> wanted) const {
  PackedRows rows = rows_.Build(model_);
  rows.wanted = std::move(wanted);
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
    const AttachedPrompt* prompt = text.prompt;
    batch.AddText(text.text, prompt != nullptr ? prompt->rows : at::Tensor(),
                  /*prefix=*/nullptr,
                  prompt != nullptr ? prompt->marked_rows : at::Tensor());
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
