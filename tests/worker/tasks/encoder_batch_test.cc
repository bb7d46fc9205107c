#include "worker/tasks/encoder_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

TEST(EncoderBatch, EveryTextHasItsOwnCopyOfItsPrompt) {
  const BaseModel& model = *TinyModel("encoder")->model;
  const at::Tensor prompt = at::ones({2, 32});
  EncoderBatch batch;

  batch.AddText(std::vector<int64_t>{5, 6, 7}, prompt, nullptr);
  batch.AddText(std::vector<int64_t>{8}, at::Tensor(), nullptr);
  const EncoderRows rows = batch.Build(model);

  EXPECT_EQ(batch.num_rows(), 6);
  EXPECT_EQ(batch.texts()[0].text_begin(), 2);
  EXPECT_EQ(batch.texts()[1].text_begin(), 5);
  ASSERT_EQ(rows.segments.size(), 2u);
  EXPECT_EQ(rows.segments[0].length, 5);
  EXPECT_EQ(rows.segments[1].begin, 5);
  const at::Tensor tokens =
      model.Embed(at::tensor(std::vector<int64_t>{5, 6, 7, 8}));
  EXPECT_TRUE(rows.embeddings.equal(at::cat({prompt, tokens})));
}

TEST(EncoderBatch, GradientsOfAllCopiesAddUp) {
  const at::Tensor prompt = at::ones({2, 32}).requires_grad_();
  EncoderBatch batch;
  for (int text = 0; text < 3; ++text) {
    batch.AddText(std::vector<int64_t>{5}, prompt, nullptr);
  }

  batch.Build(*TinyModel("encoder")->model).embeddings.sum().backward();

  EXPECT_TRUE(prompt.grad().equal(3 * at::ones({2, 32})));
}

}  // namespace
}  // namespace attune::worker
