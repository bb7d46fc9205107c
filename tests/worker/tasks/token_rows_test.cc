#include "worker/tasks/token_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/prompt_marks.h"

namespace attune::worker {
namespace {

using TokenIds = std::vector<int64_t>;

at::Tensor EmbeddingsOf(const TokenIds& ids) {
  return TinyCausalModel().Embed(at::tensor(ids, at::kLong));
}

at::Tensor SomeRows(int64_t count, double scale) {
  return at::arange(count * 32, at::kFloat).view({count, 32}) * scale;
}

TEST(TokenRows, AreTheEmbeddingsOfTokens) {
  TokenRows rows;
  rows.Add(TokenIds{5, 6}, at::Tensor());
  rows.Add(TokenIds{7}, SomeRows(2, 1));

  EXPECT_EQ(rows.size(), 3);
  EXPECT_TRUE(rows.Embed(TinyCausalModel()).equal(EmbeddingsOf({5, 6, 7})));
}

TEST(TokenRows, HaveEveryPromptsOwnRowsAmongThem) {
  const at::Tensor first = SomeRows(2, 1);
  const at::Tensor second = SomeRows(3, -1);
  TokenRows rows;
  rows.Add(TokenIds{5, IdOfPromptRow(1)}, first);
  rows.Add(TokenIds{IdOfPromptRow(2), 6}, second);
  rows.Add(TokenIds{IdOfPromptRow(0)}, first);

  EXPECT_EQ(rows.size(), 5);
  EXPECT_TRUE(rows.Embed(TinyCausalModel())
                  .equal(at::cat({EmbeddingsOf({5}), first.narrow(0, 1, 1),
                                  second.narrow(0, 2, 1), EmbeddingsOf({6}),
                                  first.narrow(0, 0, 1)})));
}

TEST(TokenRows, GradientsOfAllCopiesOfARowAddUp) {
  const at::Tensor prompt = SomeRows(2, 1).requires_grad_();
  TokenRows rows;
  rows.Add(TokenIds{5, IdOfPromptRow(1)}, prompt);
  rows.Add(TokenIds{IdOfPromptRow(1), IdOfPromptRow(0)}, prompt);

  rows.Embed(TinyCausalModel()).sum().backward();

  EXPECT_TRUE(prompt.grad()[0].eq(1).all().item<bool>());
  EXPECT_TRUE(prompt.grad()[1].eq(2).all().item<bool>());
}

}  // namespace
}  // namespace attune::worker
