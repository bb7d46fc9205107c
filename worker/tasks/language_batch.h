#ifndef ATTUNE_WORKER_TASKS_LANGUAGE_BATCH_H_
#define ATTUNE_WORKER_TASKS_LANGUAGE_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/language_model.h"
#include "worker/tasks/encoder_batch.h"
#include "worker/tasks/packed_batch.h"

namespace attune::worker {

// A text for LanguageBatch. Borrows.
struct BatchText {
  absl::Span<const int64_t> text;  // at least one token
  // Null: behind the batch's shared prompt, if there is one.
  const AttachedPrompt* prompt = nullptr;
  absl::Span<const int64_t> following = {};  // tokens that follow on it
};

// How many first tokens a causal model runs once for all of `texts`, which
// stand behind one prompt: those they have in common, as a template's words in
// front of the first field, but for the last token of each; 0 where that would
// save next to nothing. Exact: a row sees nothing behind it.
int64_t SharedBeginning(absl::Span<const absl::Span<const int64_t>> texts);

// Texts and what follows on them, for one forward of a language model. A causal
// model goes on behind the text; an encoder-decoder encodes it, and what
// follows stands behind the decoder's start token. Segments and rows are those
// whose hidden states Run returns. Not thread-safe.
class LanguageBatch {
 public:
  // `model` is borrowed.
  explicit LanguageBatch(const LanguageModel& model);

  // What stands before every text that is added without a prompt of its own;
  // borrowed, trainable or fixed. Before all texts. Only a shared prompt may
  // have rows in front of a causal model: all texts read one copy.
  void SharePrompt(const AttachedPrompt& prompt);

  // Adds texts; returns the segment of each for RowBehindText and AddBranch.
  // With `share_beginnings`, the beginning of neighbours behind one prompt
  // stands in the batch once, see SharedBeginning.
  std::vector<int> AddTexts(absl::Span<const BatchText> texts,
                            bool share_beginnings = true);
  // Adds tokens (at least one) behind segment `parent`.
  int AddBranch(absl::Span<const int64_t> ids, int parent);
  // Adds the newest tokens of a text that is being generated, behind the prefix
  // of `prompt` (may be null), what `sequence` holds and, of an
  // encoder-decoder, across from `memory`. All are borrowed.
  int AddStep(absl::Span<const int64_t> ids, const AttachedPrompt* prompt,
              KvSequence* sequence, const KvBlock* memory);

  // The row that predicts the first token behind a text. Those of the tokens
  // that followed are the next ones.
  int64_t RowBehindText(int segment) const { return row_behind_text_[segment]; }
  // The row of a branch's or a step's token.
  int64_t RowOf(int segment, int64_t offset) const {
    return rows_.RowOf(segment, offset);
  }
  int64_t LastRowOf(int segment) const { return rows_.LastRowOf(segment); }
  // Rows that go through the model, an encoder's too.
  int64_t num_rows() const { return rows_.num_rows() + encoder_.num_rows(); }

  // -> hidden states of the rows `wanted` (at least one), in that order:
  // [wanted, dim]; differentiable with regard to the shared prompt. Errors of
  // the model.
  absl::StatusOr<at::Tensor> Run(std::vector<int64_t> wanted) const;

 private:
  // First tokens of texts that are in the batch already.
  struct Beginning {
    int segment = PackedBatch::kRoot;
    int64_t length = 0;
  };

  // Of `prompt` or, for null, of the shared one; undefined without any.
  at::Tensor MarkedRowsOf(const AttachedPrompt* prompt) const;
  // Adds the beginning of `texts`, which have one prompt.
  Beginning AddBeginning(absl::Span<const BatchText> texts);
  int AddText(const BatchText& text, const Beginning& beginning);
  // Adds tokens in front of which nothing but `prompt` stands, or the shared
  // one for null.
  int AddInFront(absl::Span<const int64_t> ids, const AttachedPrompt* prompt);

  const LanguageModel& model_;
  const EncoderDecoderModel* const encoder_decoder_;  // null: causal
  const AttachedPrompt* shared_prompt_ = nullptr;
  int root_ = PackedBatch::kRoot;  // its rows, of a causal model
  PackedBatch rows_;               // of an encoder-decoder: the decoder's
  std::vector<int64_t> row_behind_text_;  // per segment; -1: not a text
  // Of an encoder-decoder.
  EncoderBatch encoder_;
  // Per segment; `begin` counts rows of encoder_.
  std::vector<DecoderMemory> memories_;
};

// A text for EncodeMemories.
struct MemoryText {
  absl::Span<const int64_t> text;
  const AttachedPrompt* prompt = nullptr;  // borrowed; null: none
};

// What a decoder reads of each text while it generates: one forward of the
// encoder for all. Never differentiable.
absl::StatusOr<std::vector<std::shared_ptr<const KvBlock>>> EncodeMemories(
    const EncoderDecoderModel& model, absl::Span<const MemoryText> texts);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LANGUAGE_BATCH_H_
