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

// A factor or the result of products: all of `stored` [kv_heads, .., ..], or
// what one segment has of it.
struct Operand {
  enum class Kind { kAll, kQueries, kKeys, kOwnScores };

  Kind kind;
  at::Tensor stored;  // kOwnScores: of a family, AttentionScores::own
  bool transposed = false;
};

// Where its matrices lie, one per kv head.
struct Place {
  int64_t begin;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  int64_t head_stride;
};

// `range` is the segment, `offset` the place of its own scores.
Place PlaceOf(const AttentionBatch& batch, const Operand& operand,
              const Range& range, int64_t offset) {
  const at::Tensor& x = operand.stored;
  const int64_t queries = range.length * batch.group;
  const int64_t keys = batch.OwnKeys(range);
  switch (operand.kind) {
    case Operand::Kind::kOwnScores:
      return {offset, queries, keys, keys, queries * keys};
    case Operand::Kind::kQueries:
      return {range.begin * batch.group * x.stride(1), queries, x.size(2),
              x.stride(1), x.stride(0)};
    case Operand::Kind::kKeys:
      return {range.begin * x.stride(1), range.length, x.size(2), x.stride(1),
              x.stride(0)};
    case Operand::Kind::kAll:
      break;
  }
  return {0, x.size(1), x.size(2), x.stride(1), x.stride(0)};
}

// What MatrixProduct takes: fp32 on the CPU, rows contiguous.
bool IsPlain(const Operand& operand) {
  const at::Tensor& x = operand.stored;
  return IsCpuFloat(x) && x.stride(x.dim() - 1) == 1;
}

// [kv_heads, .., ..], transposed where the operand is.
at::Tensor MatricesOf(const AttentionBatch& batch, const Operand& operand,
                      const Place& place) {
  const at::Tensor& x = operand.stored;
  const at::Tensor matrices =
      x.as_strided({batch.kv_heads, place.rows, place.columns},
                   {place.head_stride, place.row_stride, x.stride(x.dim() - 1)},
                   x.storage_offset() + place.begin);
  return operand.transposed ? matrices.transpose(1, 2) : matrices;
}

// The products that wait to be run together, and the batch they are of.
class Products {
 public:
  explicit Products(const AttentionBatch& batch) : batch_(batch) {}

  // out (=, or += where `add`) left times right, for every head. Plain ones
  // wait for Run, others are made at once.
  void Add(const Operand& left, const Operand& right, const Operand& out,
           bool add, const Range& range = {}, int64_t offset = 0) {
    const Place a = PlaceOf(batch_, left, range, offset);
    const Place b = PlaceOf(batch_, right, range, offset);
    const Place c = PlaceOf(batch_, out, range, offset);
    if (!IsPlain(left) || !IsPlain(right) || !IsPlain(out)) {
      at::Tensor target = MatricesOf(batch_, out, c);
      const at::Tensor factors[] = {MatricesOf(batch_, left, a),
                                    MatricesOf(batch_, right, b)};
      if (add) {
        at::baddbmm_out(target, target, factors[0], factors[1]);
      } else {
        at::bmm_out(target, factors[0], factors[1]);
      }
      return;
    }
    // There may be thousands of segments a step: no tensor is made for each.
    const float* left_data = left.stored.const_data_ptr<float>() + a.begin;
    const float* right_data = right.stored.const_data_ptr<float>() + b.begin;
    float* out_data = static_cast<float*>(out.stored.data_ptr()) + c.begin;
    for (int64_t head = 0; head < batch_.kv_heads; ++head) {
      products_.push_back({.left = left_data + head * a.head_stride,
                           .right = right_data + head * b.head_stride,
                           .out = out_data + head * c.head_stride,
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
  }

  // The same for every segment of a family and its own keys.
  void AddSegments(const Family& family, const Operand& left,
                   const Operand& right, const Operand& out, bool add) {
    if (batch_.own == AttentionLayout::Own::kNothing) return;
    ForSegments(batch_, family, [&](const Range& range, int64_t offset) {
      Add(left, right, out, add, range, offset);
    });
  }

  void Run() {
    Multiply(products_);
    products_.clear();
  }

 private:
  const AttentionBatch& batch_;
  std::vector<MatrixProduct> products_;
};

}  // namespace

at::Tensor OwnOf(const AttentionBatch& batch, const AttentionScores& scores,
                 int64_t offset, const Range& range) {
  return scores.own.narrow(0, offset, batch.OwnSize(range))
      .view({batch.kv_heads, range.length * batch.group, batch.OwnKeys(range)});
}

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
  using enum Operand::Kind;
  const at::Tensor family_left = batch.Queries(left, family.rows);
  // Hidden scores count as zero later, whatever they are, unless they are NaN.
  const int64_t hidden = family.NumHidden(batch.layer);
  if (hidden > 0) out.shared.narrow(2, 0, hidden).zero_();
  Products products(batch);
  batch.ForShared(family, [&](int64_t offset, const at::Tensor& keys,
                              const at::Tensor& values, const Range*) {
    products.Add({kAll, family_left},
                 {kAll, with_values ? values : keys, /*transposed=*/true},
                 {kAll, out.shared.narrow(2, offset, keys.size(1))},
                 /*add=*/false);
  });
  products.AddSegments(family, {kQueries, left},
                       {kKeys, with_values ? batch.rows.v : batch.rows.k,
                        /*transposed=*/true},
                       {kOwnScores, out.own}, /*add=*/false);
  products.Run();
}

void Combine(const AttentionBatch& batch, const Family& family,
             const AttentionScores& weights, bool with_values,
             at::Tensor& out) {
  using enum Operand::Kind;
  bool started = false;
  const at::Tensor family_out = batch.Queries(out, family.rows);
  Products products(batch);
  batch.ForShared(family, [&](int64_t offset, const at::Tensor& keys,
                              const at::Tensor& values, const Range*) {
    products.Add({kAll, weights.shared.narrow(2, offset, keys.size(1))},
                 {kAll, with_values ? values : keys}, {kAll, family_out},
                 started);
    // The next one adds to the same rows.
    products.Run();
    started = true;
  });
  products.AddSegments(family, {kOwnScores, weights.own},
                       {kKeys, with_values ? batch.rows.v : batch.rows.k},
                       {kQueries, out}, started);
  products.Run();
}

void Scatter(const AttentionBatch& batch, const Family& family,
             const AttentionScores& weights, const at::Tensor& left,
             at::Tensor& grad) {
  using enum Operand::Kind;
  const at::Tensor family_left = batch.Queries(left, family.rows);
  Products products(batch);
  batch.ForShared(family, [&](int64_t offset, const at::Tensor& keys,
                              const at::Tensor&, const Range* range) {
    if (range == nullptr) return;
    products.Add({kAll, weights.shared.narrow(2, offset, keys.size(1)),
                  /*transposed=*/true},
                 {kAll, family_left},
                 {kAll, grad.narrow(1, range->begin, range->length)},
                 /*add=*/true);
  });
  products.AddSegments(family, {kOwnScores, weights.own, /*transposed=*/true},
                       {kQueries, left}, {kKeys, grad}, /*add=*/true);
  products.Run();
}

}  // namespace attune::worker
