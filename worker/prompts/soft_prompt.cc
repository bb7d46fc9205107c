#include "worker/prompts/soft_prompt.h"

#include <ATen/ops/isfinite.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::StatusOr<SoftPrompt> SoftPrompt::Create(const at::Tensor& rows) {
  if (rows.scalar_type() != at::kFloat && rows.scalar_type() != at::kHalf &&
      rows.scalar_type() != at::kBFloat16) {
    return absl::InvalidArgumentError(
        Concat("prompt rows are of type ", c10::toString(rows.scalar_type()),
               "; they must be F32, F16 or BF16"));
  }
  if (rows.dim() != 2 || rows.size(0) < 1 || rows.size(1) < 1) {
    return absl::InvalidArgumentError(Concat("prompt rows have shape [",
                                             absl::StrJoin(rows.sizes(), ", "),
                                             "]; it must be [rows, width]"));
  }
  at::Tensor kept = rows.detach()
                        .to(at::kCPU, at::kFloat, /*non_blocking=*/false,
                            /*copy=*/true)
                        .contiguous();
  if (!at::isfinite(kept).all().item<bool>()) {
    return absl::InvalidArgumentError(
        "prompt rows hold numbers that are not finite");
  }
  return SoftPrompt(std::move(kept));
}

}  // namespace attune::worker
