#include "worker/models/attention_products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

using Family = AttentionLayout::Family;
using Range = AttentionLayout::Range;

constexpr int64_t kKvHeads = 2;
constexpr int64_t kGroup = 3;
constexpr int64_t kHeadDim = 8;
constexpr int64_t kPrompt = 4;
constexpr int64_t kRows = 17;

// A prompt and three texts of different lengths behind it. Doubles take
// LibTorch's products, floats those of many segments at once.
class AttentionProducts : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor Heads(int64_t rows, uint64_t seed) const {
    return RandomTensor({kKvHeads, rows, kHeadDim}, seed, GetParam());
  }

  AttentionScores RandomScores() const {
    AttentionScores scores = EmptyScores(batch_, family_);
    scores.shared.copy_(RandomTensor(scores.shared.sizes().vec(), 7));
    scores.own.copy_(RandomTensor(scores.own.sizes().vec(), 8));
    return scores;
  }

  // A segment's scores with the prompt.
  at::Tensor SharedOf(const AttentionScores& scores, const Range& range) const {
    return batch_.Queries(scores.shared, {range.begin - kPrompt, range.length});
  }

  const AttentionLayout layout_{
      std::vector<Segment>{{.begin = 0, .length = kPrompt},
                           {.begin = 4, .length = 6, .parent = 0},
                           {.begin = 10, .length = 1, .parent = 0},
                           {.begin = 11, .length = 6, .parent = 0}}};
  const at::Tensor q_ = Heads(kRows * kGroup, 1);
  const at::Tensor k_ = Heads(kRows, 2);
  const at::Tensor v_ = Heads(kRows, 3);
  const AttentionBatch batch_{{q_, k_, v_}, /*layer=*/0, layout_};
  const Family& family_ = layout_.families()[1];
  const double tolerance_ = GetParam() == at::kFloat ? 1e-6 : 1e-14;
};

TEST_P(AttentionProducts, ScoresAreQueriesTimesAllKeysInSight) {
  for (const bool with_values : {false, true}) {
    AttentionScores scores = EmptyScores(batch_, family_);
    const at::Tensor right = (with_values ? v_ : k_).transpose(1, 2);

    MultiplyByKeys(batch_, family_, q_, with_values, scores);

    ForSegments(batch_, family_, [&](const Range& range, int64_t offset) {
      const at::Tensor queries = batch_.Queries(q_, range);
      EXPECT_LT(
          RelativeDifference(SharedOf(scores, range),
                             at::matmul(queries, right.narrow(2, 0, kPrompt))),
          tolerance_);
      EXPECT_LT(
          RelativeDifference(
              OwnOf(batch_, scores, offset, range),
              at::matmul(queries, right.narrow(2, range.begin, range.length))),
          tolerance_);
    });
  }
}

TEST_P(AttentionProducts, CombinesTheValuesInSight) {
  const AttentionScores weights = RandomScores();
  for (const bool with_values : {false, true}) {
    const at::Tensor right = with_values ? v_ : k_;
    at::Tensor out = Heads(kRows * kGroup, 9);
    const at::Tensor before = out.clone();

    Combine(batch_, family_, weights, with_values, out);

    ForSegments(batch_, family_, [&](const Range& range, int64_t offset) {
      const at::Tensor expected =
          at::matmul(SharedOf(weights, range), right.narrow(1, 0, kPrompt)) +
          at::matmul(OwnOf(batch_, weights, offset, range),
                     right.narrow(1, range.begin, range.length));
      EXPECT_LT(RelativeDifference(batch_.Queries(out, range), expected),
                tolerance_);
    });
    const Range prompt = {0, kPrompt};
    EXPECT_TRUE(
        batch_.Queries(out, prompt).equal(batch_.Queries(before, prompt)));
  }
}

TEST_P(AttentionProducts, ScattersToEveryKeyWhatAllItsRowsGive) {
  const AttentionScores weights = RandomScores();
  at::Tensor grad = Heads(kRows, 9);
  at::Tensor expected = grad.clone();

  Scatter(batch_, family_, weights, q_, grad);

  ForSegments(batch_, family_, [&](const Range& range, int64_t offset) {
    const at::Tensor queries = batch_.Queries(q_, range);
    expected.narrow(1, 0, kPrompt)
        .add_(at::matmul(SharedOf(weights, range).transpose(1, 2), queries));
    expected.narrow(1, range.begin, range.length)
        .add_(at::matmul(OwnOf(batch_, weights, offset, range).transpose(1, 2),
                         queries));
  });
  EXPECT_LT(RelativeDifference(grad, expected), tolerance_);
}

TEST_P(AttentionProducts, OneRowInFrontIsSharedLikeMany) {
  const AttentionLayout layout(
      std::vector<Segment>{{.begin = 0, .length = 1},
                           {.begin = 1, .length = 2, .parent = 0},
                           {.begin = 3, .length = 4, .parent = 0}});
  const AttentionBatch batch({Heads(7 * kGroup, 1), Heads(7, 2), Heads(7, 3)},
                             /*layer=*/0, layout);
  const Family& family = layout.families()[1];
  AttentionScores scores = EmptyScores(batch, family);
  at::Tensor grad = at::zeros_like(batch.rows.k);

  MultiplyByKeys(batch, family, batch.rows.q, /*with_values=*/false, scores);
  Scatter(batch, family, scores, batch.rows.q, grad);

  const at::Tensor queries = batch.Queries(batch.rows.q, {1, 6});
  const at::Tensor shared =
      at::matmul(queries, batch.rows.k.narrow(1, 0, 1).transpose(1, 2));
  EXPECT_LT(RelativeDifference(scores.shared, shared), tolerance_);
  EXPECT_LT(RelativeDifference(grad.narrow(1, 0, 1),
                               at::matmul(shared.transpose(1, 2), queries)),
            tolerance_);
}

TEST_P(AttentionProducts, CrossAttentionHasNoKeysOfItsOwn) {
  const AttentionLayout cross(std::vector<AttentionLayout::CrossSegment>{
      {.rows = {0, 3}, .memory = {0, 5}}, {.rows = {3, 2}, .memory = {5, 4}}});
  const AttentionBatch batch({Heads(5 * kGroup, 1), Heads(9, 2), Heads(9, 3)},
                             /*layer=*/0, cross);
  const Family& family = cross.families()[1];
  AttentionScores scores = EmptyScores(batch, family);

  MultiplyByKeys(batch, family, batch.rows.q, /*with_values=*/false, scores);

  EXPECT_EQ(scores.own.numel(), 0);
  EXPECT_LT(RelativeDifference(
                scores.shared,
                at::matmul(batch.Queries(batch.rows.q, {3, 2}),
                           batch.rows.k.narrow(1, 5, 4).transpose(1, 2))),
            tolerance_);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionProducts,
                         ::testing::Values(at::kFloat, at::kDouble));

}  // namespace
}  // namespace attune::worker
