#include "worker/models/kept_rows.h"

#include <utility>

#include "worker/models/device.h"

namespace attune::worker {
namespace {

thread_local at::ScalarType kept_dtype = at::kFloat;

}  // namespace

KeptRows::KeptRows(at::ScalarType dtype)
    : outer_(std::exchange(kept_dtype, dtype)) {}

KeptRows::~KeptRows() { kept_dtype = outer_; }

bool KeptRows::narrow() { return kept_dtype == at::kBFloat16 && CpuHasBf16(); }

at::Tensor KeptRows::Keep(const at::Tensor& rows) {
  return rows.scalar_type() == at::kFloat ? rows.to(kept_dtype) : rows;
}

at::Tensor KeptRows::Restore(const at::Tensor& kept, const at::Tensor& grad) {
  return kept.to(grad.scalar_type());
}

}  // namespace attune::worker
