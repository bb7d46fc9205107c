#include "worker/models/packed_attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/le.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "worker/models/attention_products.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"
#include "worker/models/kept_rows.h"
#include "worker/models/narrow_attention.h"

namespace attune::worker {
namespace {

using Family = AttentionLayout::Family;
using Range = AttentionLayout::Range;

constexpr int64_t kAttentionGrainRows = 4;

// Calls body(pieces, place among shared, place among own) for every query row,
// shared among threads. `scores` is what the pieces point into.
template <typename Body>
void ForScoreRows(const AttentionBatch& batch, const Family& family,
                  AttentionScores& scores, const Body& body) {
  float* shared = scores.shared.mutable_data_ptr<float>();
  float* own = scores.own.mutable_data_ptr<float>();
  std::vector<int64_t> own_offsets;
  ForSegments(batch, family, [&](const Range&, int64_t offset) {
    own_offsets.push_back(offset);
  });
  const int64_t rows = family.rows.length;
  const int64_t group = batch.group;
  at::parallel_for(
      0, batch.kv_heads * rows, kAttentionGrainRows,
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t head = i / rows;
          const int64_t row = i % rows;
          const int32_t index = family.segment_of_row[row];
          const Range& range = family.segments[index];
          const int64_t own_keys = batch.OwnKeys(range);
          const int64_t inside = family.rows.begin + row - range.begin;
          for (int64_t g = 0; g < group; ++g) {
            const int64_t shared_at =
                ((head * rows + row) * group + g) * family.shared_length;
            const int64_t own_at =
                own_offsets[index] +
                ((head * range.length + inside) * group + g) * own_keys;
            cpu_rows::ScorePieces pieces =
                batch.Sight(family, range, inside, head * group + g);
            pieces.shared = shared + shared_at;
            pieces.own = own + own_at;
            body(pieces, shared_at, own_at);
          }
        }
      });
}

// Position of every key (shared ones first) before that of every query row of a
// segment: [length * group, keys], negative for earlier keys.
at::Tensor Distances(const AttentionBatch& batch, const Family& family,
                     const Range& range, const at::TensorOptions& options) {
  const at::Tensor key =
      at::arange(family.shared_length + batch.OwnKeys(range), options);
  const at::Tensor row = at::arange(range.length * batch.group, options)
                             .floor_divide(batch.group) +
                         family.shared_length;
  return key.unsqueeze(0) - row.unsqueeze(1);
}

// For other devices and dtypes: per segment, scores with shared and with own
// keys side by side through `body`, and back.
template <typename Body>
void ForScoresAnywhere(const AttentionBatch& batch, const Family& family,
                       AttentionScores& scores, const Body& body) {
  ForSegments(batch, family, [&](const Range& range, int64_t offset) {
    const Range inside = {range.begin - family.rows.begin, range.length};
    at::Tensor shared = batch.Queries(scores.shared, inside);
    at::Tensor own = OwnOf(batch, scores, offset, range);
    const at::Tensor distance =
        Distances(batch, family, range, own.options().dtype(at::kLong));
    at::Tensor hidden = at::zeros_like(distance, at::kBool);
    if (batch.own == AttentionLayout::Own::kCausal) {
      hidden = hidden | at::gt(distance, 0);
    }
    if (batch.rule.window > 0) {
      hidden = hidden | at::le(distance, -batch.rule.window);
    }
    hidden.narrow(1, 0, family.NumHidden(batch.layer)).fill_(true);
    const at::Tensor result =
        body(at::cat({shared, own}, 2), distance, hidden, inside, range, offset)
            .masked_fill(hidden, 0);
    shared.copy_(result.narrow(2, 0, family.shared_length));
    own.copy_(result.narrow(2, family.shared_length, own.size(2)));
  });
}

// The bias of every score of a segment: [kv_heads, length * group, keys].
at::Tensor BiasAnywhere(const AttentionBatch& batch,
                        const at::Tensor& distance) {
  const at::Tensor& bias = batch.rule.bias;
  const int64_t rows = distance.size(0) / batch.group;
  const at::Tensor index =
      (distance + (bias.size(1) - 1) / 2)
          .view({rows, batch.group, -1})
          .unsqueeze(0)
          .expand({batch.kv_heads, rows, batch.group, distance.size(1)});
  const at::Tensor of_head =
      bias.view({batch.kv_heads, 1, batch.group, bias.size(1)})
          .expand({batch.kv_heads, rows, batch.group, bias.size(1)});
  return at::gather(of_head, 3, index)
      .reshape({batch.kv_heads, distance.size(0), distance.size(1)});
}

void Softmax(const AttentionBatch& batch, const Family& family,
             AttentionScores& scores) {
  if (IsCpuFloat(scores.own)) {
    ForScoreRows(batch, family, scores,
                 [](const cpu_rows::ScorePieces& row, int64_t, int64_t) {
                   cpu_rows::Softmax(row);
                 });
    return;
  }
  ForScoresAnywhere(
      batch, family, scores,
      [&](at::Tensor all, const at::Tensor& distance, const at::Tensor& hidden,
          const Range&, const Range&, int64_t) {
        if (batch.rule.bias.defined()) {
          all = all + BiasAnywhere(batch, distance).to(all.scalar_type());
        }
        return at::softmax(
            all.masked_fill(hidden, -std::numeric_limits<float>::infinity()),
            -1);
      });
}

// `grads` of probabilities become gradients of scores.
void SoftmaxBackward(const AttentionBatch& batch, const Family& family,
                     const AttentionScores& probabilities,
                     AttentionScores& grads) {
  if (IsCpuFloat(grads.own)) {
    const float* shared = probabilities.shared.const_data_ptr<float>();
    const float* own = probabilities.own.const_data_ptr<float>();
    ForScoreRows(batch, family, grads,
                 [&](const cpu_rows::ScorePieces& row, int64_t shared_at,
                     int64_t own_at) {
                   cpu_rows::SoftmaxBackward(row, shared + shared_at,
                                             own + own_at);
                 });
    return;
  }
  ForScoresAnywhere(
      batch, family, grads,
      [&](const at::Tensor& all, const at::Tensor&, const at::Tensor&,
          const Range& inside, const Range& range, int64_t offset) {
        const at::Tensor p =
            at::cat({batch.Queries(probabilities.shared, inside),
                     OwnOf(batch, probabilities, offset, range)},
                    2);
        return p * (all - at::sum(p * all, {2}, /*keepdim=*/true));
      });
}

// [kv_heads, n * group, head_dim] -> [n, heads * head_dim]
at::Tensor MergeHeads(const AttentionBatch& batch, const at::Tensor& x) {
  const int64_t n = batch.num_rows;
  return x.view({batch.kv_heads, n, batch.group, x.size(2)})
      .transpose(0, 1)
      .reshape({n, batch.kv_heads * batch.group * x.size(2)});
}

at::Tensor SplitHeads(const AttentionBatch& batch, const at::Tensor& x) {
  const int64_t n = batch.num_rows;
  const int64_t head_dim = batch.rows.k.size(2);
  return x.view({n, batch.kv_heads, batch.group, head_dim})
      .transpose(0, 1)
      .reshape({batch.kv_heads, n * batch.group, head_dim});
}

// `keep`: where the probabilities go, one per family; null to forget them.
at::Tensor Attend(const AttentionBatch& batch, const AttentionLayout& layout,
                  std::vector<AttentionScores>* keep) {
  at::Tensor out = at::empty_like(batch.rows.q);
  for (const Family& family : layout.families()) {
    AttentionScores scores = EmptyScores(batch, family);
    MultiplyByKeys(batch, family, batch.rows.q, /*with_values=*/false, scores);
    Softmax(batch, family, scores);
    Combine(batch, family, scores, /*with_values=*/true, out);
    if (keep != nullptr) keep->push_back(std::move(scores));
  }
  return MergeHeads(batch, out);
}

QkvRows AttendBackward(const AttentionBatch& batch,
                       const AttentionLayout& layout,
                       const std::vector<AttentionScores>& kept,
                       const at::Tensor& merged_grad) {
  const at::Tensor grad = SplitHeads(batch, merged_grad);
  QkvRows grads = {at::empty_like(batch.rows.q), at::zeros_like(batch.rows.k),
                   at::zeros_like(batch.rows.v)};
  for (size_t i = 0; i < kept.size(); ++i) {
    const Family& family = layout.families()[i];
    AttentionScores scores = EmptyScores(batch, family);
    MultiplyByKeys(batch, family, grad, /*with_values=*/true, scores);
    SoftmaxBackward(batch, family, kept[i], scores);
    Combine(batch, family, scores, /*with_values=*/false, grads.q);
    Scatter(batch, family, scores, batch.rows.q, grads.k);
    Scatter(batch, family, kept[i], grad, grads.v);
  }
  return grads;
}

// The rows with the keys and values of trained prefixes behind them.
QkvRows WithTrained(const QkvRows& rows, int64_t layer,
                    const AttentionLayout& layout) {
  if (layout.trained().empty()) return rows;
  std::vector<at::Tensor> keys = {rows.k};
  std::vector<at::Tensor> values = {rows.v};
  for (const KvBlock* prefix : layout.trained()) {
    if (prefix->HasLayer(layer)) {
      keys.push_back(prefix->keys(layer));
      values.push_back(prefix->values(layer));
      continue;
    }
    // Nobody reads them; they keep the places of the others.
    const at::Tensor none = at::zeros(
        {rows.k.size(0), prefix->length(), rows.k.size(2)}, rows.k.options());
    keys.push_back(none);
    values.push_back(none);
  }
  return {rows.q, at::cat(keys, 1), at::cat(values, 1)};
}

struct AttentionFunction : public torch::autograd::Function<AttentionFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, int64_t layer,
                            const c10::intrusive_ptr<AttentionLayout>& layout,
                            const AttentionRule& rule, bool narrow) {
    const AttentionBatch batch({q, k, v}, layer, *layout, rule);
    context->saved_data["layer"] = layer;
    context->saved_data["window"] = rule.window;
    context->saved_data["layout"] = c10::IValue::make_capsule(layout);
    context->saved_data["narrow"] = narrow;
    context->saved_data["q_dtype"] = q.scalar_type();
    context->saved_data["kv_dtype"] = k.scalar_type();
    if (narrow) {
      NarrowKept kept;
      at::Tensor out = AttendNarrow(batch, *layout, kept);
      context->save_for_backward(
          {kept.rows.q, kept.rows.k, kept.rows.v, kept.probabilities});
      return out;
    }
    std::vector<AttentionScores> kept;
    at::Tensor out = Attend(batch, *layout, &kept);
    torch::autograd::variable_list saved = {
        KeptRows::Keep(q), KeptRows::Keep(k), KeptRows::Keep(v)};
    for (const AttentionScores& scores : kept) {
      saved.push_back(KeptRows::Keep(scores.shared));
      saved.push_back(KeptRows::Keep(scores.own));
    }
    context->save_for_backward(std::move(saved));
    return out;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const at::Tensor grad = grads[0].contiguous();
    auto saved = context->get_saved_variables();
    const bool narrow = context->saved_data["narrow"].toBool();
    if (!narrow) {
      for (at::Tensor& one : saved) one = KeptRows::Restore(one, grad);
    }
    const auto layout = c10::static_intrusive_pointer_cast<AttentionLayout>(
        context->saved_data["layout"].toCapsule());
    // The bias is constant and needs no backward.
    const AttentionBatch batch({saved[0], saved[1], saved[2]},
                               context->saved_data["layer"].toInt(), *layout,
                               {.window = context->saved_data["window"].toInt(),
                                .bias = at::Tensor()});
    const QkvRows result =
        narrow ? AttendNarrowBackward(
                     batch, *layout, saved[3], grad,
                     context->saved_data["q_dtype"].toScalarType())
               : AttendBackward(batch, *layout, KeptScores(saved), grad);
    const at::ScalarType kv_dtype =
        context->saved_data["kv_dtype"].toScalarType();
    torch::autograd::variable_list inputs(7);
    inputs[0] = result.q;
    inputs[1] = result.k.to(kv_dtype);
    inputs[2] = result.v.to(kv_dtype);
    return inputs;
  }

 private:
  // What follows q, k and v.
  static std::vector<AttentionScores> KeptScores(
      const torch::autograd::variable_list& saved) {
    std::vector<AttentionScores> kept;
    for (size_t i = 3; i < saved.size(); i += 2) {
      kept.push_back({saved[i], saved[i + 1]});
    }
    return kept;
  }
};

}  // namespace

at::Tensor PackedAttention(const QkvRows& batch_rows, int64_t layer,
                           const c10::intrusive_ptr<AttentionLayout>& layout,
                           const AttentionRule& rule) {
  QkvRows rows = WithTrained(batch_rows, layer, *layout);
  const bool narrow = KeptRows::narrow() &&
                      CanAttendNarrow(AttentionBatch(rows, layer, *layout));
  if (!narrow && IsCpuBf16(rows.q)) {
    rows = {rows.q.to(at::kFloat), rows.k.to(at::kFloat),
            rows.v.to(at::kFloat)};
  }
  // Queries of a first decoder layer may be constants while the memory is not.
  if (at::GradMode::is_enabled() &&
      (rows.q.requires_grad() || rows.k.requires_grad() ||
       rows.v.requires_grad())) {
    return AttentionFunction::apply(rows.q, rows.k, rows.v, layer, layout, rule,
                                    narrow);
  }
  const AttentionBatch batch(std::move(rows), layer, *layout, rule);
  if (!narrow) return Attend(batch, *layout, nullptr);
  NarrowKept forgotten;
  return AttendNarrow(batch, *layout, forgotten);
}

}  // namespace attune::worker
