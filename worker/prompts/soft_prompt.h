#ifndef ATTUNE_WORKER_PROMPTS_SOFT_PROMPT_H_
#define ATTUNE_WORKER_PROMPTS_SOFT_PROMPT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace attune::worker {

// The rows that stand in front of an input's embeddings. Immutable; copies
// share the rows.
class SoftPrompt {
 public:
  // rows: [length, dim], float, half or bfloat16, kept as a contiguous fp32
  // copy on the CPU that takes no part in gradients. InvalidArgument naming
  // what is wrong: dtype, rank, no rows, a number that is not finite.
  static absl::StatusOr<SoftPrompt> Create(const at::Tensor& rows);

  // [length, dim], fp32. Not to be written to.
  const at::Tensor& rows() const { return rows_; }
  int64_t length() const { return rows_.size(0); }
  int64_t dim() const { return rows_.size(1); }

 private:
  explicit SoftPrompt(at::Tensor rows) : rows_(std::move(rows)) {}

  at::Tensor rows_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_SOFT_PROMPT_H_
