#include "worker/models/token_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

constexpr int64_t kTokens = 7;
constexpr int64_t kWidth = 5;

at::Tensor TableOf(uint64_t seed) {
  return RandomTensor({kTokens, kWidth}, seed);
}

at::Tensor SomeIds() { return at::tensor({6, 0, 6}, at::kLong); }

TEST(TokenTables, EmbedsRowsOfTheTable) {
  const TokenTables tables(TableOf(1), LinearLayer());

  EXPECT_TRUE(at::equal(tables.Embed(SomeIds()),
                        at::index_select(TableOf(1), 0, SomeIds())));
}

TEST(TokenTables, NarrowRowsComeOutAsFp32) {
  const TokenTables tables(TableOf(1).to(at::kBFloat16), LinearLayer());

  EXPECT_EQ(tables.dtype(), at::kBFloat16);
  EXPECT_EQ(tables.Embed(SomeIds()).scalar_type(), at::kFloat);
}

TEST(TokenTables, WithoutAHeadTheTableIsTheHead) {
  const TokenTables tables(TableOf(1), LinearLayer());
  const at::Tensor hidden = RandomTensor({2, kWidth}, 2);

  EXPECT_LT(
      RelativeDifference(tables.Logits(hidden), at::mm(hidden, TableOf(1).t())),
      1e-6);
}

TEST(TokenTables, AHeadOfItsOwnHasItsBias) {
  const at::Tensor bias = RandomTensor({kTokens}, 4);
  const TokenTables tables(TableOf(1), LinearLayer(TableOf(3), bias));
  const at::Tensor hidden = RandomTensor({2, kWidth}, 2);
  const at::Tensor expected = at::mm(hidden, TableOf(3).t()) + bias;

  EXPECT_LT(RelativeDifference(tables.Logits(hidden), expected), 1e-6);
  EXPECT_LT(RelativeDifference(tables.LogitsFor(hidden, SomeIds()),
                               at::index_select(expected, 1, SomeIds())),
            1e-6);
}

TEST(TokenTables, ScalesWhatGoesInAndWhatComesOut) {
  TokenScales scales;
  scales.embedding = 3;
  scales.hidden = 0.5;
  const TokenTables tables(TableOf(1), LinearLayer(), scales);
  const at::Tensor hidden = RandomTensor({2, kWidth}, 2);
  const at::Tensor logits = at::mm(hidden, TableOf(1).t()) * 0.5;

  EXPECT_LT(RelativeDifference(tables.Embed(SomeIds()),
                               at::index_select(TableOf(1), 0, SomeIds()) * 3),
            1e-6);
  EXPECT_LT(RelativeDifference(tables.Logits(hidden), logits), 1e-6);
  EXPECT_LT(RelativeDifference(tables.LogitsFor(hidden, SomeIds()),
                               at::index_select(logits, 1, SomeIds())),
            1e-6);
}

TEST(TokenTables, LogitsOfSomeTokensHaveTheGradientsOfAll) {
  TokenScales scales;
  scales.hidden = 0.5;
  const TokenTables tables(TableOf(1), LinearLayer(), scales);
  const std::vector<at::Tensor> hidden = {RandomTensor({2, kWidth}, 2)};

  const auto some = Gradients(
      [&](const auto& in) { return tables.LogitsFor(in[0], SomeIds()); },
      hidden);
  const auto all = Gradients(
      [&](const auto& in) {
        return at::index_select(tables.Logits(in[0]), 1, SomeIds());
      },
      hidden);

  EXPECT_LT(RelativeDifference(some[0], all[0]), 1e-6);
}

}  // namespace
}  // namespace attune::worker
