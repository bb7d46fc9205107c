#include "worker/models/packed_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/le.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

constexpr int64_t kKvHeads = 2;
constexpr int64_t kGroup = 3;
constexpr int64_t kHeadDim = 4;

at::Tensor Heads(int64_t rows, uint64_t seed, at::ScalarType dtype) {
  return RandomTensor({kKvHeads, rows, kHeadDim}, seed, dtype);
}

// A batch of q, k and v.
std::vector<at::Tensor> Inputs(int64_t rows,
                               at::ScalarType dtype = at::kFloat) {
  return {Heads(rows * kGroup, 1, dtype), Heads(rows, 2, dtype),
          Heads(rows, 3, dtype)};
}

using Own = AttentionLayout::Own;

// Who sees what, beside the segments.
struct Sight {
  Own own = Own::kCausal;
  AttentionRule rule;
};

at::Tensor Packed(const std::vector<at::Tensor>& qkv,
                  const std::vector<Segment>& segments,
                  const Sight& sight = {}) {
  return PackedAttention(
      {qkv[0], qkv[1], qkv[2]}, /*layer=*/0,
      c10::make_intrusive<AttentionLayout>(segments, sight.own), sight.rule);
}

// The bias of `rows` query rows after `before` keys: [heads, rows, keys].
at::Tensor BiasOf(const at::Tensor& table, int64_t rows, int64_t before) {
  const int64_t span = (table.size(1) + 1) / 2;
  at::Tensor bias =
      at::zeros({table.size(0), rows, before + rows}, table.options());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t key = 0; key < before + rows; ++key) {
      bias.select(1, row).select(1, key).copy_(
          table.select(1, key - before - row + span - 1));
    }
  }
  return bias;
}

// One segment at a time: its keys are gathered into one matrix.
at::Tensor Flattened(const std::vector<at::Tensor>& qkv,
                     const std::vector<Segment>& segments,
                     const Sight& sight = {}) {
  std::vector<at::Tensor> outputs;
  for (const Segment& segment : segments) {
    std::vector<at::Tensor> keys = {
        qkv[1].narrow(1, segment.begin, segment.length)};
    std::vector<at::Tensor> values = {
        qkv[2].narrow(1, segment.begin, segment.length)};
    const Segment* root = &segment;
    while (root->parent >= 0) {
      root = &segments[root->parent];
      keys.insert(keys.begin(), qkv[1].narrow(1, root->begin, root->length));
      values.insert(values.begin(),
                    qkv[2].narrow(1, root->begin, root->length));
    }
    if (root->sequence != nullptr && root->sequence->length() > 0) {
      keys.insert(keys.begin(), root->sequence->keys(0));
      values.insert(values.begin(), root->sequence->values(0));
    }
    if (root->prefix != nullptr) {
      keys.insert(keys.begin(), root->prefix->keys(0).to(qkv[0].scalar_type()));
      values.insert(values.begin(),
                    root->prefix->values(0).to(qkv[0].scalar_type()));
    }
    const at::Tensor k = at::cat(keys, 1);
    const at::Tensor v = at::cat(values, 1);
    const at::Tensor q =
        qkv[0].narrow(1, segment.begin * kGroup, segment.length * kGroup);
    const int64_t before = k.size(1) - segment.length;
    const at::Tensor key = at::arange(k.size(1), at::kLong);
    const at::Tensor row =
        at::arange(segment.length * kGroup, at::kLong).floor_divide(kGroup);
    const at::Tensor distance = key.unsqueeze(0) - row.unsqueeze(1) - before;
    at::Tensor hidden = at::zeros_like(distance, at::kBool);
    if (sight.own == Own::kCausal) hidden = hidden | at::gt(distance, 0);
    if (sight.rule.window > 0) {
      hidden = hidden | at::le(distance, -sight.rule.window);
    }
    at::Tensor scores = at::matmul(q, k.transpose(1, 2));
    if (sight.rule.bias.defined()) {
      const at::Tensor bias = BiasOf(sight.rule.bias, segment.length, before);
      scores = scores + bias.view({kKvHeads, kGroup, segment.length, -1})
                            .transpose(1, 2)
                            .reshape(scores.sizes())
                            .to(scores.scalar_type());
    }
    scores =
        scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
    outputs.push_back(
        at::matmul(at::softmax(scores, -1), v)
            .view({kKvHeads, segment.length, kGroup, kHeadDim})
            .transpose(0, 1)
            .reshape({segment.length, kKvHeads * kGroup * kHeadDim}));
  }
  return at::cat(outputs);
}

// Prompt, three texts of different length behind it, branches behind two.
std::vector<Segment> Tree() {
  return {{.begin = 0, .length = 5},
          {.begin = 5, .length = 7, .parent = 0},
          {.begin = 12, .length = 1, .parent = 0},
          {.begin = 13, .length = 18, .parent = 0},
          {.begin = 31, .length = 2, .parent = 1},
          {.begin = 33, .length = 1, .parent = 1},
          {.begin = 34, .length = 3, .parent = 3}};
}

void ExpectEqualToFlattened(const std::vector<at::Tensor>& inputs,
                            const std::vector<Segment>& segments,
                            const Sight& sight = {}) {
  EXPECT_LT(RelativeDifference(Packed(inputs, segments, sight),
                               Flattened(inputs, segments, sight)),
            1e-6);
  const auto ours = Gradients(
      [&](const auto& in) { return Packed(in, segments, sight); }, inputs);
  const auto expected = Gradients(
      [&](const auto& in) { return Flattened(in, segments, sight); }, inputs);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(RelativeDifference(ours[i], expected[i]), 2e-6) << "qkv"[i];
  }
}

TEST(PackedAttention, ATreeEqualsFlattenedSequences) {
  ExpectEqualToFlattened(Inputs(37), Tree());
}

TEST(PackedAttention, ARaggedBatchEqualsItsSequences) {
  ExpectEqualToFlattened(Inputs(40), {{.begin = 0, .length = 1},
                                      {.begin = 1, .length = 33},
                                      {.begin = 34, .length = 6}});
}

TEST(PackedAttention, AWindowHidesEarlierKeys) {
  for (const int64_t window : {2, 4, 9, 100}) {
    Sight sight;
    sight.rule.window = window;
    ExpectEqualToFlattened(Inputs(37), Tree(), sight);
    ExpectEqualToFlattened(Inputs(37, at::kDouble), Tree(), sight);
  }
}

TEST(PackedAttention, RowsOfAnEncoderSeeTheWholeSegment) {
  const std::vector<Segment> segments = {{.begin = 0, .length = 1},
                                         {.begin = 1, .length = 30},
                                         {.begin = 31, .length = 6}};
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    Sight sight;
    sight.own = Own::kAll;
    ExpectEqualToFlattened(Inputs(37, dtype), segments, sight);
  }
}

TEST(PackedAttention, ABiasBelongsToTheDistance) {
  const at::Tensor bias = RandomTensor({kKvHeads * kGroup, 2 * 40 - 1}, 9);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const Own own : {Own::kCausal, Own::kAll}) {
      ExpectEqualToFlattened(Inputs(37, dtype), Tree(),
                             {.own = own, .rule = {.window = 0, .bias = bias}});
    }
  }
}

// Queries of two texts, the second in two segments, against their memories.
at::Tensor Crossed(const std::vector<at::Tensor>& qkv) {
  using Cross = AttentionLayout::CrossSegment;
  return PackedAttention(
      {qkv[0], qkv[1], qkv[2]}, /*layer=*/0,
      c10::make_intrusive<AttentionLayout>(
          std::vector<Cross>{{.rows = {0, 3}, .memory = {0, 5}},
                             {.rows = {3, 2}, .memory = {5, 9}},
                             {.rows = {5, 4}, .memory = {5, 9}}}));
}

at::Tensor CrossedByHand(const std::vector<at::Tensor>& qkv) {
  const auto attend = [&](int64_t begin, int64_t length, int64_t key,
                          int64_t keys) {
    const at::Tensor q = qkv[0].narrow(1, begin * kGroup, length * kGroup);
    const at::Tensor k = qkv[1].narrow(1, key, keys);
    const at::Tensor v = qkv[2].narrow(1, key, keys);
    return at::matmul(at::softmax(at::matmul(q, k.transpose(1, 2)), -1), v)
        .view({kKvHeads, length, kGroup, kHeadDim})
        .transpose(0, 1)
        .reshape({length, kKvHeads * kGroup * kHeadDim});
  };
  return at::cat({attend(0, 3, 0, 5), attend(3, 6, 5, 9)});
}

TEST(PackedAttention, CrossAttentionSeesTheMemoryOnly) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const std::vector<at::Tensor> inputs = {
        Heads(9 * kGroup, 1, dtype), Heads(14, 2, dtype), Heads(14, 3, dtype)};

    EXPECT_LT(RelativeDifference(Crossed(inputs), CrossedByHand(inputs)), 1e-6);
    const auto ours = Gradients(Crossed, inputs);
    const auto expected = Gradients(CrossedByHand, inputs);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_LT(RelativeDifference(ours[i], expected[i]), 2e-6) << "qkv"[i];
    }
  }
}

TEST(PackedAttention, CachedMemoryIsTheSame) {
  const std::vector<at::Tensor> inputs = {Heads(9 * kGroup, 1, at::kFloat),
                                          Heads(14, 2, at::kFloat),
                                          Heads(14, 3, at::kFloat)};
  const KvBlock first({inputs[1].narrow(1, 0, 5)}, {inputs[2].narrow(1, 0, 5)});
  const KvBlock second({inputs[1].narrow(1, 5, 9)},
                       {inputs[2].narrow(1, 5, 9)});
  const at::Tensor none = Heads(0, 2, at::kFloat);

  const at::Tensor cached = PackedAttention(
      {inputs[0], none, none}, /*layer=*/0,
      c10::make_intrusive<AttentionLayout>(
          std::vector<AttentionLayout::CrossSegment>{
              {.rows = {0, 3}, .memory = {}, .cached = &first},
              {.rows = {3, 6}, .memory = {}, .cached = &second}}));

  EXPECT_LT(RelativeDifference(cached, Crossed(inputs)), 1e-6);
}

TEST(PackedAttention, TheGeneralImplementationAgrees) {
  ExpectEqualToFlattened(Inputs(37, at::kDouble), Tree());
}

TEST(PackedAttention, ACachedPromptIsSeenByAll) {
  const KvBlock prefix({Heads(9, 5, at::kFloat)}, {Heads(9, 6, at::kFloat)});

  ExpectEqualToFlattened(Inputs(12),
                         {{.begin = 0, .length = 4, .prefix = &prefix},
                          {.begin = 4, .length = 5, .prefix = &prefix},
                          {.begin = 9, .length = 3, .parent = 1}});
}

TEST(PackedAttention, ASequenceSeesPromptAndItsOwnPast) {
  const KvBlock prefix({Heads(9, 5, at::kFloat)}, {Heads(9, 6, at::kFloat)});
  KvSequence sequence;
  sequence.Write(0, Heads(3, 7, at::kFloat), Heads(3, 8, at::kFloat));
  sequence.Commit(3);
  KvSequence empty;
  const std::vector<Segment> segments = {
      {.begin = 0, .length = 1, .prefix = &prefix, .sequence = &sequence},
      {.begin = 1, .length = 2, .sequence = &empty}};
  const auto inputs = Inputs(3);

  EXPECT_LT(
      RelativeDifference(Packed(inputs, segments), Flattened(inputs, segments)),
      1e-6);
}

// Two texts and a branch, behind a prefix or without one.
std::vector<Segment> Texts(const KvBlock* prefix) {
  return {{.begin = 0, .length = 4, .prefix = prefix},
          {.begin = 4, .length = 5, .prefix = prefix},
          {.begin = 9, .length = 3, .parent = 1}};
}

TEST(PackedAttention, ALayerThatAPrefixLeavesOutAttendsAsWithoutIt) {
  const KvBlock elsewhere({Heads(9, 5, at::kFloat)}, {Heads(9, 6, at::kFloat)},
                          /*first_layer=*/1);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const Own own : {Own::kCausal, Own::kAll}) {
      const auto inputs = Inputs(12, dtype);

      EXPECT_LT(RelativeDifference(Packed(inputs, Texts(&elsewhere), {own, {}}),
                                   Packed(inputs, Texts(nullptr), {own, {}})),
                1e-6);
    }
  }
}

TEST(PackedAttention, SoDoItsGradients) {
  const at::Tensor keys = Heads(9, 5, at::kFloat).requires_grad_();
  const at::Tensor values = Heads(9, 6, at::kFloat).requires_grad_();
  const KvBlock trained({keys}, {values}, /*first_layer=*/1);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const auto inputs = Inputs(12, dtype);
    const auto with = [&](const KvBlock* prefix) {
      return Gradients(
          [&](const std::vector<at::Tensor>& qkv) {
            return Packed(qkv, Texts(prefix));
          },
          inputs);
    };
    const std::vector<at::Tensor> without = with(nullptr);
    const std::vector<at::Tensor> behind = with(&trained);

    for (size_t i = 0; i < without.size(); ++i) {
      EXPECT_LT(RelativeDifference(behind[i], without[i]), 1e-6) << i;
    }
  }
}

TEST(PackedAttention, ASequenceKeepsItsPlaceBehindAPrefixThatIsLeftOut) {
  const KvBlock elsewhere({Heads(9, 5, at::kFloat)}, {Heads(9, 6, at::kFloat)},
                          /*first_layer=*/1);
  KvSequence sequence;
  sequence.Write(0, Heads(3, 7, at::kFloat), Heads(3, 8, at::kFloat));
  sequence.Commit(3);
  const auto inputs = Inputs(2);

  EXPECT_LT(
      RelativeDifference(
          Packed(inputs,
                 {{.length = 2, .prefix = &elsewhere, .sequence = &sequence}}),
          Packed(inputs, {{.length = 2, .sequence = &sequence}})),
      1e-6);
}

}  // namespace
}  // namespace attune::worker
