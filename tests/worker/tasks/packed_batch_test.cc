#include "worker/tasks/packed_batch.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

at::Tensor Embedded(const std::vector<int64_t>& ids) {
  return TinyCausalModel().Embed(at::tensor(ids));
}

TEST(PackedBatch, LaysSegmentsOutInOrder) {
  PackedBatch batch;
  const at::Tensor prompt = at::ones({2, 32});

  const int root = batch.AddPrompt(prompt);
  const int text = batch.AddTokens(std::vector<int64_t>{5, 6, 7}, root);
  const int branch = batch.AddTokens(std::vector<int64_t>{8}, text);
  const PackedRows rows = batch.Build(TinyCausalModel());

  EXPECT_EQ(batch.num_rows(), 6);
  EXPECT_EQ(batch.RowOf(text, 1), 3);
  EXPECT_EQ(batch.LastRowOf(text), 4);
  EXPECT_EQ(batch.LastRowOf(branch), 5);
  ASSERT_EQ(rows.segments.size(), 3u);
  EXPECT_EQ(rows.segments[0].parent, -1);
  EXPECT_EQ(rows.segments[1].parent, 0);
  EXPECT_EQ(rows.segments[2].parent, 1);
  EXPECT_EQ(rows.segments[2].begin, 5);
  EXPECT_TRUE(rows.embeddings.equal(at::cat({prompt, Embedded({5, 6, 7, 8})})));
}

TEST(PackedBatch, RootsCarryPrefixAndSequence) {
  const auto prefix = *TinyCausalModel().BuildPrefix(Embedded({1, 2}));
  KvSequence sequence;
  PackedBatch batch;

  batch.AddRoot(std::vector<int64_t>{5}, prefix.get(), &sequence);
  batch.AddRoot(std::vector<int64_t>{6, 7}, nullptr);
  const PackedRows rows = batch.Build(TinyCausalModel());

  EXPECT_EQ(rows.segments[0].prefix, prefix.get());
  EXPECT_EQ(rows.segments[0].sequence, &sequence);
  EXPECT_EQ(rows.segments[1].prefix, nullptr);
  EXPECT_EQ(rows.segments[1].begin, 1);
}

TEST(PackedBatch, GradientsFlowToThePrompt) {
  const at::Tensor prompt = at::ones({2, 32}).requires_grad_();
  PackedBatch batch;
  batch.AddTokens(std::vector<int64_t>{5}, batch.AddPrompt(prompt));

  EXPECT_TRUE(batch.Build(TinyCausalModel()).embeddings.requires_grad());
}

}  // namespace
}  // namespace attune::worker
