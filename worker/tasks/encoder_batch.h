#ifndef ATTUNE_WORKER_TASKS_ENCODER_BATCH_H_
#define ATTUNE_WORKER_TASKS_ENCODER_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/base_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/tasks/token_rows.h"

namespace attune::worker {

// Collects texts for one forward of an encoder: each is a segment that begins
// with its own copy of its prompt's rows, which read the text, and sees its
// prompt's prefix. Not thread-safe.
class EncoderBatch {
 public:
  // A text's rows: its prompt's, then its tokens'.
  struct Text {
    int64_t begin = 0;          // first row
    int64_t prompt_length = 0;  // rows of the prompt
    int64_t length = 0;         // rows of the tokens

    int64_t text_begin() const { return begin + prompt_length; }
    int64_t end() const { return text_begin() + length; }
  };

  // ids: at least one. `rows` of a prompt: [n, embedding_dim], fp32, on the
  // model's device, trainable or fixed; undefined for none. `prefix`: borrowed;
  // null for none. Ids and `marked` as TokenRows has them.
  void AddText(absl::Span<const int64_t> ids, const at::Tensor& rows,
               const KvBlock* prefix, const at::Tensor& marked = {});

  // A text as a query of an encoder has it: with all that `prompt` brings.
  void AddText(absl::Span<const int64_t> ids, const AttachedPrompt& prompt);

  // Rows that a text takes behind `rows` of a prompt.
  static int64_t CountRows(absl::Span<const int64_t> ids,
                           const at::Tensor& rows);

  const std::vector<Text>& texts() const { return texts_; }
  int64_t num_rows() const { return texts_.empty() ? 0 : texts_.back().end(); }

  // The rows with the tokens embedded by `model`; differentiable with regard to
  // the prompts.
  EncoderRows Build(const BaseModel& model) const;

 private:
  std::vector<Text> texts_;
  std::vector<at::Tensor> prompts_;       // per text
  std::vector<const KvBlock*> prefixes_;  // per text
  TokenRows tokens_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ENCODER_BATCH_H_
