#include "worker/models/attention_products.h"

#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>

#include <utility>
#include <vector>

#include "worker/models/device.h"
#include "worker/models/matrix_products.h"

namespace attune::worker {
namespace {

using Family = AttentionLayout::Family;
using Range = AttentionLayout::Range;

// The range's rows of x [kv_heads, keys, any].
at::Tensor Keys(const at::Tensor& x, const Range& range) {
  return x.narrow(1, range.begin, range.length);
}

// Cached keys and values of a family: constants, one after the other.
struct CachedPiece {
  at::Tensor keys;  // [kv_heads, length, head_dim]
  at::Tensor values;
  int64_t offset;  // among the shared keys
};

std::vector<CachedPiece> CachedPieces(const Family& family, int64_t layer) {
  std::vector<CachedPiece> pieces;
  const bool has_prefix =
      family.prefix != nullptr && family.prefix->length() > 0;
  if (has_prefix && family.NumHidden(layer) == 0) {
    pieces.push_back(
        {family.prefix->keys(layer), family.prefix->values(layer), 0});
  }
  if (family.sequence != nullptr && family.sequence->length() > 0) {
    pieces.push_back({family.sequence->keys(layer),
                      family.sequence->values(layer),
                      has_prefix ? family.prefix->length() : 0});
  }
  return pieces;
}

// Calls body(offset, keys, values, range) for every run of shared keys, in
// order; `offset` is its place among the shared keys, `range` is null for
// cached ones. A prefix that the layer does not have is left out.
template <typename Body>
void ForShared(const AttentionBatch& batch, const Family& family,
               const Body& body) {
  int64_t offset = family.shared_length;
  for (const Range& range : family.ancestors) offset -= range.length;
  for (const CachedPiece& piece : CachedPieces(family, batch.layer)) {
    body(piece.offset, piece.keys, piece.values,
         static_cast<const Range*>(nullptr));
  }
  for (const Range& range : family.ancestors) {
    if (offset >= family.NumHidden(batch.layer)) {
      body(offset, Keys(batch.rows.k, range), Keys(batch.rows.v, range),
           &range);
    }
    offset += range.length;
  }
}

// One factor, or the result, of the products of all segments with their own
// keys.
struct Operand {
  enum class Kind { kQueries, kKeys, kScores };

  Kind kind;
  at::Tensor tensor;  // of all rows; kScores: all own scores of a family
  bool transposed = false;
};

// Where the matrices of one segment lie in an operand, one per kv head.
struct Place {
  int64_t begin;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  int64_t head_stride;
};

Place PlaceOf(const AttentionBatch& batch, const Operand& operand,
              const Range& range, int64_t offset) {
  if (operand.kind == Operand::Kind::kScores) {
    const int64_t rows = range.length * batch.group;
    const int64_t keys = batch.OwnKeys(range);
    return {offset, rows, keys, keys, rows * keys};
  }
  const at::Tensor& x = operand.tensor;
  const int64_t group =
      operand.kind == Operand::Kind::kQueries ? batch.group : 1;
  return {range.begin * group * x.stride(1), range.length * group, x.size(2),
          x.stride(1), x.stride(0)};
}

// What MatrixProduct takes: fp32 on the CPU, rows contiguous.
bool IsPlain(const at::Tensor& x) {
  return IsCpuFloat(x) && x.stride(x.dim() - 1) == 1;
}

// A factor of a product: [kv_heads, .., ..] as stored.
struct Factor {
  at::Tensor stored;
  bool transposed = false;

  at::Tensor Matrices() const {
    return transposed ? stored.transpose(1, 2) : stored;
  }
};

// out (=, or += where `add`) left times right, for every head. Plain ones are
// only noted in `products`, to be run with the others.
void AddProduct(const Factor& left, const Factor& right, at::Tensor out,
                bool add, std::vector<MatrixProduct>& products) {
  if (!IsPlain(left.stored) || !IsPlain(right.stored) || !IsPlain(out)) {
    if (add) {
      at::baddbmm_out(out, out, left.Matrices(), right.Matrices());
    } else {
      at::bmm_out(out, left.Matrices(), right.Matrices());
    }
    return;
  }
  const at::Tensor& a = left.stored;
  const at::Tensor& b = right.stored;
  for (int64_t head = 0; head < out.size(0); ++head) {
    products.push_back(
        {.left = a.const_data_ptr<float>() + head * a.stride(0),
         .right = b.const_data_ptr<float>() + head * b.stride(0),
         .out = out.mutable_data_ptr<float>() + head * out.stride(0),
         .rows = out.size(1),
         .columns = out.size(2),
         .depth = a.size(left.transposed ? 1 : 2),
         .left_stride = a.stride(1),
         .right_stride = b.stride(1),
         .out_stride = out.stride(1),
         .left_transposed = left.transposed,
         .right_transposed = right.transposed,
         .add = add});
  }
}

// [kv_heads, rows, columns] of one segment, as stored.
at::Tensor MatricesOf(const AttentionBatch& batch, const Operand& operand,
                      const Range& range, int64_t offset) {
  const Place place = PlaceOf(batch, operand, range, offset);
  const at::Tensor& x = operand.tensor;
  return x.as_strided(
      {batch.kv_heads, place.rows, place.columns},
      {place.head_stride, place.row_stride, x.stride(x.dim() - 1)},
      x.storage_offset() + place.begin);
}

// The same for every segment.
void AddSegments(const AttentionBatch& batch, const Family& family,
                 const Operand& left, const Operand& right, const Operand& out,
                 bool add, std::vector<MatrixProduct>& products) {
  if (batch.own == AttentionLayout::Own::kNothing) return;
  if (!IsPlain(left.tensor) || !IsPlain(right.tensor) || !IsPlain(out.tensor)) {
    ForSegments(batch, family, [&](const Range& range, int64_t offset) {
      AddProduct({MatricesOf(batch, left, range, offset), left.transposed},
                 {MatricesOf(batch, right, range, offset), right.transposed},
                 MatricesOf(batch, out, range, offset), add, products);
    });
    return;
  }
  // There may be thousands a step: no tensor is made for each.
  const float* left_data = left.tensor.const_data_ptr<float>();
  const float* right_data = right.tensor.const_data_ptr<float>();
  auto* out_data = static_cast<float*>(out.tensor.data_ptr());
  ForSegments(batch, family, [&](const Range& range, int64_t offset) {
    const Place a = PlaceOf(batch, left, range, offset);
    const Place b = PlaceOf(batch, right, range, offset);
    const Place c = PlaceOf(batch, out, range, offset);
    for (int64_t head = 0; head < batch.kv_heads; ++head) {
      products.push_back({.left = left_data + a.begin + head * a.head_stride,
                          .right = right_data + b.begin + head * b.head_stride,
                          .out = out_data + c.begin + head * c.head_stride,
                          .rows = c.rows,
                          .columns = c.columns,
                          .depth = left.transposed ? a.rows : a.columns,
                          .left_stride = a.row_stride,
                          .right_stride = b.row_stride,
                          .out_stride = c.row_stride,
                          .left_transposed = left.transposed,
                          .right_transposed = right.transposed,
                          .add = add});
    }
  });
}

}  // namespace

AttentionBatch::AttentionBatch(QkvRows qkv, int64_t layer,
                               const AttentionLayout& layout)
    : rows(std::move(qkv)),
      kv_heads(rows.k.size(0)),
      num_rows(layout.families().empty()
                   ? 0
                   : layout.families().back().rows.begin +
                         layout.families().back().rows.length),
      group(num_rows == 0 ? 1 : rows.q.size(1) / num_rows),
      layer(layer),
      own(layout.own()) {}

AttentionScores EmptyScores(const AttentionBatch& batch, const Family& family) {
  int64_t own_size = 0;
  for (const Range& range : family.segments) own_size += batch.OwnSize(range);
  const auto options = batch.rows.q.options();
  return {at::empty({batch.kv_heads, family.rows.length * batch.group,
                     family.shared_length},
                    options),
          at::empty({own_size}, options)};
}

void MultiplyByKeys(const AttentionBatch& batch, const Family& family,
                    const at::Tensor& left, bool with_values,
                    AttentionScores& out) {
  const at::Tensor family_left = batch.Queries(left, family.rows);
  // Hidden scores count as zero later, whatever they are, unless they are NaN.
  const int64_t hidden = family.NumHidden(batch.layer);
  if (hidden > 0) out.shared.narrow(2, 0, hidden).zero_();
  std::vector<MatrixProduct> products;
  ForShared(batch, family,
            [&](int64_t offset, const at::Tensor& keys,
                const at::Tensor& values, const Range*) {
              const at::Tensor& right = with_values ? values : keys;
              AddProduct({family_left}, {right, /*transposed=*/true},
                         out.shared.narrow(2, offset, right.size(1)),
                         /*add=*/false, products);
            });
  AddSegments(batch, family, {Operand::Kind::kQueries, left},
              {.kind = Operand::Kind::kKeys,
               .tensor = with_values ? batch.rows.v : batch.rows.k,
               .transposed = true},
              {Operand::Kind::kScores, out.own}, /*add=*/false, products);
  Multiply(products);
}

void Combine(const AttentionBatch& batch, const Family& family,
             const AttentionScores& weights, bool with_values,
             at::Tensor& out) {
  bool started = false;
  std::vector<MatrixProduct> products;
  const at::Tensor family_out = batch.Queries(out, family.rows);
  // Each adds to the same rows as the one before.
  const auto finish = [&] {
    Multiply(products);
    products.clear();
    started = true;
  };
  ForShared(batch, family,
            [&](int64_t offset, const at::Tensor& keys,
                const at::Tensor& values, const Range*) {
              const at::Tensor& right = with_values ? values : keys;
              AddProduct({weights.shared.narrow(2, offset, right.size(1))},
                         {right}, family_out, started, products);
              finish();
            });
  AddSegments(batch, family, {Operand::Kind::kScores, weights.own},
              {Operand::Kind::kKeys, with_values ? batch.rows.v : batch.rows.k},
              {Operand::Kind::kQueries, out}, started, products);
  finish();
}

void Scatter(const AttentionBatch& batch, const Family& family,
             const AttentionScores& weights, const at::Tensor& left,
             at::Tensor& grad) {
  const at::Tensor family_left = batch.Queries(left, family.rows);
  std::vector<MatrixProduct> products;
  ForShared(batch, family,
            [&](int64_t offset, const at::Tensor& keys, const at::Tensor&,
                const Range* range) {
              if (range == nullptr) return;
              AddProduct({weights.shared.narrow(2, offset, keys.size(1)),
                          /*transposed=*/true},
                         {family_left}, Keys(grad, *range), /*add=*/true,
                         products);
            });
  AddSegments(batch, family,
              {.kind = Operand::Kind::kScores,
               .tensor = weights.own,
               .transposed = true},
              {Operand::Kind::kQueries, left}, {Operand::Kind::kKeys, grad},
              /*add=*/true, products);
  Multiply(products);
}

}  // namespace attune::worker
