#include "worker/prompts/soft_prompt.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/status/status.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const at::Tensor& rows) {
  return SoftPrompt::Create(rows).status().ToString();
}

TEST(SoftPrompt, KeepsACopyOfTheRows) {
  at::Tensor rows = at::ones({3, 4});

  const SoftPrompt prompt = *SoftPrompt::Create(rows);
  rows.zero_();

  EXPECT_EQ(prompt.length(), 3);
  EXPECT_EQ(prompt.dim(), 4);
  EXPECT_TRUE(prompt.rows().equal(at::ones({3, 4})));
}

TEST(SoftPrompt, DoesNotTakePartInGradients) {
  const at::Tensor rows = at::ones({2, 2}).requires_grad_();

  EXPECT_FALSE(SoftPrompt::Create(rows)->rows().requires_grad());
}

TEST(SoftPrompt, WidensHalfAndBfloat16) {
  const at::Tensor rows = at::tensor({1.5f, -0.25f, 2.0f, 8.0f}).view({2, 2});

  EXPECT_TRUE(SoftPrompt::Create(rows.to(at::kHalf))->rows().equal(rows));
  EXPECT_TRUE(SoftPrompt::Create(rows.to(at::kBFloat16))->rows().equal(rows));
}

TEST(SoftPrompt, TurnsStridedRowsIntoContiguousOnes) {
  const at::Tensor rows = at::tensor({1.f, 2.f, 3.f, 4.f}).view({2, 2}).t();

  EXPECT_TRUE(SoftPrompt::Create(rows)->rows().is_contiguous());
  EXPECT_TRUE(SoftPrompt::Create(rows)->rows().equal(rows));
}

TEST(SoftPrompt, RefusesOtherTypes) {
  EXPECT_THAT(ErrorOf(at::ones({2, 2}, at::kDouble)),
              HasSubstr("must be F32, F16 or BF16"));
  EXPECT_THAT(ErrorOf(at::ones({2, 2}, at::kLong)),
              HasSubstr("must be F32, F16 or BF16"));
}

TEST(SoftPrompt, RefusesOtherShapes) {
  EXPECT_THAT(ErrorOf(at::ones({4})), HasSubstr("shape [4]"));
  EXPECT_THAT(ErrorOf(at::ones({0, 4})), HasSubstr("shape [0, 4]"));
  EXPECT_THAT(ErrorOf(at::ones({1, 2, 2})), HasSubstr("shape [1, 2, 2]"));
}

TEST(SoftPrompt, RefusesNumbersThatAreNotFinite) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(),
                    std::numeric_limits<float>::infinity()}) {
    at::Tensor rows = at::ones({2, 2});
    rows[1][0] = bad;

    EXPECT_THAT(ErrorOf(rows), HasSubstr("not finite"));
  }
}

}  // namespace
}  // namespace attune::worker
