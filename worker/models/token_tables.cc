#include "worker/models/token_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include <utility>

namespace attune::worker {
namespace {

at::Tensor Scaled(const at::Tensor& hidden, double scale) {
  return scale == 1 ? hidden : hidden * scale;
}

}  // namespace

TokenTables::TokenTables(at::Tensor embeddings, FrozenLinear head,
                         const TokenScales& scales)
    : embeddings_(std::move(embeddings)),
      head_(head.weight().defined() ? std::move(head)
                                    : FrozenLinear(embeddings_)),
      scales_(scales) {}

at::Tensor TokenTables::Embed(const at::Tensor& token_ids) const {
  const at::NoGradGuard no_grad;
  at::Tensor rows =
      at::index_select(embeddings_, 0, token_ids.to(device())).to(at::kFloat);
  return scales_.embedding == 1 ? rows : rows.mul_(scales_.embedding);
}

at::Tensor TokenTables::Logits(const at::Tensor& hidden) const {
  return head_.Forward(Scaled(hidden, scales_.hidden));
}

at::Tensor TokenTables::LogitsFor(const at::Tensor& hidden,
                                  const at::Tensor& token_ids) const {
  at::Tensor rows;
  at::Tensor bias;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor ids = token_ids.to(device());
    rows = at::index_select(head_.weight(), 0, ids).to(at::kFloat);
    if (head_.bias().defined()) bias = at::index_select(head_.bias(), 0, ids);
  }
  at::Tensor logits = at::mm(Scaled(hidden, scales_.hidden), rows.t());
  return bias.defined() ? logits + bias : logits;
}

}  // namespace attune::worker
