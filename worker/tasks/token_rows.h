#ifndef ATTUNE_WORKER_TASKS_TOKEN_ROWS_H_
#define ATTUNE_WORKER_TASKS_TOKEN_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/base_model.h"

namespace attune::worker {

// The tokens of a batch and the rows of prompts that stand among them
// (prompt_marks.h). Not thread-safe.
class TokenRows {
 public:
  // ids: of tokens or IdOfPromptRow of rows of `marked`, [n, embedding_dim],
  // fp32, on the model's device, trainable or fixed; undefined for none.
  void Add(absl::Span<const int64_t> ids, const at::Tensor& marked);

  int64_t size() const { return static_cast<int64_t>(ids_.size()); }

  // -> [size, embedding_dim], fp32; differentiable with regard to the rows of
  // prompts.
  at::Tensor Embed(const BaseModel& model) const;

 private:
  std::vector<int64_t> ids_;  // 0 where a prompt's row stands
  // Of these: where they stand, and which of the rows of all marked_ they are.
  std::vector<int64_t> places_;
  std::vector<int64_t> sources_;
  std::vector<at::Tensor> marked_;   // of each prompt once
  std::vector<int64_t> first_rows_;  // of each among those of all
  int64_t num_marked_rows_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TOKEN_ROWS_H_
