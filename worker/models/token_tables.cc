#include "worker/models/token_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>

#include <utility>

namespace attune::worker {
namespace {

at::Tensor Scaled(const at::Tensor& hidden, double scale) {
  return scale == 1 ? hidden : hidden * scale;
}

}  // namespace

TokenTables::TokenTables(at::Tensor embeddings, LinearLayer head,
                         const TokenScales& scales)
    : embeddings_(std::move(embeddings)),
      head_(head.weight().defined() ? std::move(head)
                                    : LinearLayer(embeddings_)),
      scales_(scales) {}

at::Tensor TokenTables::Embed(const at::Tensor& token_ids) const {
  at::Tensor rows =
      at::index_select(embeddings_, 0, token_ids.to(device())).to(at::kFloat);
  return scales_.embedding == 1 ? rows : rows.mul_(scales_.embedding);
}

at::Tensor TokenTables::Logits(const at::Tensor& hidden) const {
  return head_.Forward(Scaled(hidden, scales_.hidden));
}

at::Tensor TokenTables::LogitsFor(const at::Tensor& hidden,
                                  const at::Tensor& token_ids) const {
  const at::Tensor ids = token_ids.to(device());
  const at::Tensor rows =
      at::index_select(head_.weight(), 0, ids).to(at::kFloat);
  const at::Tensor logits = at::mm(Scaled(hidden, scales_.hidden), rows.t());
  if (!head_.bias().defined()) return logits;
  return logits + at::index_select(head_.bias(), 0, ids);
}

}  // namespace attune::worker
