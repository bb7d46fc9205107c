#include "worker/models/bf16_product.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"

// A name of its own: several tests are compiled together.
namespace attune::worker::bf16_product_test {
namespace {

// Exact products, summed in fp32 in another order; in bf16 rounded at the end.
constexpr double kWide = 2e-6;
constexpr double kRounded = 3e-3;

at::Tensor Narrow(std::vector<int64_t> shape, uint64_t seed) {
  return RandomTensor(std::move(shape), seed).to(at::kBFloat16);
}

void ExpectProducts(const at::Tensor& x, const at::Tensor& grad,
                    const at::Tensor& weight) {
  const at::Tensor wide = weight.to(at::kDouble);
  const at::Tensor exact = at::matmul(x.to(at::kDouble), wide.t());
  const at::Tensor exact_back = at::matmul(grad.to(at::kDouble), wide);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? kWide : kRounded;
    const at::Tensor out = Bf16Product(x, weight, dtype);
    const at::Tensor back = Bf16TransposedProduct(grad, weight, dtype);

    EXPECT_EQ(out.scalar_type(), dtype);
    EXPECT_EQ(back.scalar_type(), dtype);
    EXPECT_LT(RelativeDifference(out, exact), tolerance);
    EXPECT_LT(RelativeDifference(back, exact_back), tolerance);
  }
}

TEST(Bf16Product, EqualsAProductInDouble) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  const at::Tensor weight = Narrow({208, 96}, 1);
  ASSERT_TRUE(HasBf16Product(weight));
  // Rows on both sides of a block.
  for (const int64_t rows : {1, 5, 64, 65, 200}) {
    ExpectProducts(Narrow({rows, 96}, 2), Narrow({rows, 208}, 3), weight);
  }
}

TEST(Bf16Product, SumsADepthThatNoPanelHolds) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  ExpectProducts(Narrow({70, 80}, 2), Narrow({70, 6400}, 3),
                 Narrow({6400, 80}, 1));
  ExpectProducts(Narrow({70, 6400}, 2), Narrow({70, 80}, 3),
                 Narrow({80, 6400}, 1));
}

TEST(Bf16Product, TakesWideRows) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  const at::Tensor weight = Narrow({64, 48}, 1);
  const at::Tensor x = RandomTensor({9, 48}, 2);

  EXPECT_TRUE(Bf16Product(x, weight, at::kFloat)
                  .equal(Bf16Product(x.to(at::kBFloat16), weight, at::kFloat)));
}

TEST(Bf16Product, IsTheSameForAnyNumberOfThreads) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  const at::Tensor weight = Narrow({208, 96}, 1);
  const at::Tensor x = Narrow({150, 96}, 2);
  const at::Tensor grad = Narrow({150, 208}, 3);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor out = Bf16Product(x, weight, at::kFloat);
  const at::Tensor back = Bf16TransposedProduct(grad, weight, at::kFloat);
  for (const int threads : {2, 3, 5}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(Bf16Product(x, weight, at::kFloat).equal(out)) << threads;
    EXPECT_TRUE(Bf16TransposedProduct(grad, weight, at::kFloat).equal(back))
        << threads;
  }
  at::set_num_threads(before);
}

TEST(Bf16Product, LeavesOtherWeightsToLibTorch) {
  EXPECT_FALSE(HasBf16Product(RandomTensor({64, 64}, 1)));
  EXPECT_FALSE(HasBf16Product(Narrow({64, 50}, 1)));
  EXPECT_FALSE(HasBf16Product(Narrow({50, 64}, 1)));
  EXPECT_FALSE(HasBf16Product(Narrow({64, 32}, 1).t()));
  EXPECT_EQ(HasBf16Product(Narrow({64, 64}, 1)), CpuHasBf16());
}

}  // namespace
}  // namespace attune::worker::bf16_product_test
