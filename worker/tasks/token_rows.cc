#include "worker/tasks/token_rows.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "worker/tasks/prompt_marks.h"

namespace attune::worker {

void TokenRows::Add(absl::Span<const int64_t> ids, const at::Tensor& marked) {
  int64_t first_row = -1;  // of `marked`, once it is known to be needed
  for (const int64_t id : ids) {
    if (id >= 0) {
      ids_.push_back(id);
      continue;
    }
    if (first_row < 0) {
      const auto known = std::find_if(
          marked_.begin(), marked_.end(),
          [&](const at::Tensor& one) { return one.is_same(marked); });
      if (known != marked_.end()) {
        first_row = first_rows_[known - marked_.begin()];
      } else {
        first_row = num_marked_rows_;
        marked_.push_back(marked);
        first_rows_.push_back(first_row);
        num_marked_rows_ += marked.size(0);
      }
    }
    places_.push_back(size());
    sources_.push_back(first_row + PromptRowOfId(id));
    ids_.push_back(0);
  }
}

at::Tensor TokenRows::Embed(const BaseModel& model) const {
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(model.device());
  };
  at::Tensor rows = model.Embed(on_device(ids_));
  if (places_.empty()) return rows;
  return rows.index_copy(/*dim=*/0, on_device(places_),
                         at::cat(marked_).index_select(0, on_device(sources_)));
}

}  // namespace attune::worker
