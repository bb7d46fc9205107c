#include "worker/models/bf16_product.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "worker/models/bf16_factors.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"

namespace attune::worker {
namespace {

using bf16_factors::BitsOf;
using bf16_factors::kPanel;

// Rows of one product with a panel.
constexpr int64_t kBlockRows = 64;
// A panel of this depth is 384 KiB: it stays in a second-level cache.
constexpr int64_t kBlockDepth = 3072;

// A panel's part of a right factor: `depth` rows from `begin` on of `width`
// columns from `column` on.
struct PanelPart {
  int64_t column;
  int64_t width;
  int64_t begin;
  int64_t depth;
};

// A weight as a right factor: itself, or its transpose.
struct Right {
  const uint16_t* weight;
  int64_t row_size;  // of the weight
  bool transposed;

  const uint16_t* At(const PanelPart& part) const {
    return weight + (transposed ? part.column * row_size + part.begin
                                : part.begin * row_size + part.column);
  }

  // to: [part.depth / 2, kPanel, 2]
  void Pack(const PanelPart& part, uint16_t* to) const {
    if (transposed) {
      bf16_factors::PackTransposed(At(part), row_size, part.width, part.width,
                                   part.depth, to);
    } else {
      bf16_factors::PackRows(At(part), row_size, part.depth, part.depth,
                             part.width, kPanel, to);
    }
  }
};

// One product: out [rows, columns] = left [rows, depth] times right.
struct Factors {
  const uint16_t* left;
  Right right;
  int64_t rows;
  int64_t columns;
  int64_t depth;

  // The part of a panel from row `begin` of the right factor on.
  PanelPart PartOf(int64_t panel, int64_t begin) const {
    const int64_t column = panel * kPanel;
    return {.column = column,
            .width = std::min(columns - column, kPanel),
            .begin = begin,
            .depth = std::min(depth - begin, kBlockDepth)};
  }
};

// A thread's buffers, kept from call to call.
struct Scratch {
  at::Tensor panel;  // [kBlockDepth / 2, kPanel, 2]
  at::Tensor sums;   // [rows, kPanel] fp32
};

// What a thread does of one panel: rows [begin, end).
struct Share {
  int64_t panel;
  int64_t begin;
  int64_t end;
};

// Fills the share's place in `out`.
void MultiplyShare(const Factors& factors, const Share& share,
                   const at::Tensor& out) {
  thread_local Scratch scratch;
  auto* panel = bf16_factors::Room<uint16_t>(
      scratch.panel, std::min(factors.depth, kBlockDepth) * kPanel);
  const bool wide = out.scalar_type() == at::kFloat;
  const int64_t column = share.panel * kPanel;
  auto* sums = wide ? static_cast<float*>(out.data_ptr()) + column +
                          share.begin * factors.columns
                    : bf16_factors::Room<float>(
                          scratch.sums, (share.end - share.begin) * kPanel);
  const int64_t stride = wide ? factors.columns : kPanel;
  // Sums of one part are read at once: a block's place stays in the cache.
  const bool one_part = factors.depth <= kBlockDepth;
  const int64_t blocks =
      (share.end - share.begin + kBlockRows - 1) / kBlockRows;
  for (int64_t from = 0; from < factors.depth; from += kBlockDepth) {
    const PanelPart part = factors.PartOf(share.panel, from);
    factors.right.Pack(part, panel);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t row = share.begin + block * kBlockRows;
      const int64_t count = std::min(share.end - row, kBlockRows);
      float* to = !wide && one_part ? sums : sums + block * kBlockRows * stride;
      bf16_factors::MultiplyPanels(
          count, part.width, part.depth,
          {factors.left + row * factors.depth + from, factors.depth}, panel,
          /*panel_size=*/0, {to, stride}, /*out_step=*/0, /*add=*/from > 0);
      if (wide || from + part.depth < factors.depth) continue;
      cpu_rows::NarrowRows(to, kPanel,
                           static_cast<uint16_t*>(out.data_ptr()) + column +
                               row * factors.columns,
                           factors.columns, count, part.width);
    }
  }
}

// Shares the blocks of rows of all panels among threads, those of a panel one
// after the other.
void Multiply(const Factors& factors, const at::Tensor& out) {
  const int64_t blocks = (factors.rows + kBlockRows - 1) / kBlockRows;
  const int64_t units = bf16_factors::NumPanels(factors.columns) * blocks;
  const int64_t shares = std::min<int64_t>(units, at::get_num_threads());
  at::parallel_for(0, shares, 1, [&](int64_t first, int64_t last) {
    const int64_t end = units * last / shares;
    for (int64_t unit = units * first / shares; unit < end;) {
      const int64_t begin = unit % blocks;
      const int64_t count = std::min(blocks - begin, end - unit);
      MultiplyShare(
          factors,
          {.panel = unit / blocks,
           .begin = begin * kBlockRows,
           .end = std::min((begin + count) * kBlockRows, factors.rows)},
          out);
      unit += count;
    }
    bf16_factors::Release();
  });
}

at::Tensor Narrowed(const at::Tensor& x) {
  return x.to(at::kBFloat16).contiguous();
}

}  // namespace

bool HasBf16Product(const at::Tensor& weight) {
  return weight.is_cpu() && weight.scalar_type() == at::kBFloat16 &&
         weight.is_contiguous() && CpuHasBf16() &&
         weight.size(0) % bf16_factors::kStep == 0 &&
         weight.size(1) % bf16_factors::kStep == 0;
}

at::Tensor Bf16Product(const at::Tensor& x, const at::Tensor& weight,
                       at::ScalarType dtype) {
  RECORD_FUNCTION("attune::bf16_product",
                  c10::ArrayRef<c10::IValue>({x, weight}));
  const at::Tensor left = Narrowed(x);
  at::Tensor out =
      at::empty({x.size(0), weight.size(0)}, x.options().dtype(dtype));
  Multiply({.left = BitsOf(left),
            .right = {.weight = BitsOf(weight),
                      .row_size = weight.size(1),
                      .transposed = true},
            .rows = x.size(0),
            .columns = weight.size(0),
            .depth = weight.size(1)},
           out);
  return out;
}

at::Tensor Bf16TransposedProduct(const at::Tensor& grad,
                                 const at::Tensor& weight,
                                 at::ScalarType dtype) {
  RECORD_FUNCTION("attune::bf16_transposed_product",
                  c10::ArrayRef<c10::IValue>({grad, weight}));
  const at::Tensor left = Narrowed(grad);
  at::Tensor out =
      at::empty({grad.size(0), weight.size(1)}, grad.options().dtype(dtype));
  Multiply({.left = BitsOf(left),
            .right = {.weight = BitsOf(weight),
                      .row_size = weight.size(1),
                      .transposed = false},
            .rows = grad.size(0),
            .columns = weight.size(1),
            .depth = weight.size(0)},
           out);
  return out;
}

}  // namespace attune::worker
