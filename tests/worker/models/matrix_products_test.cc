#include "worker/models/matrix_products.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

// Sums of at most 200 products in another order.
constexpr double kTolerance = 1e-6;

// Both factors as they are stored.
at::Tensor Expected(const at::Tensor& left, const at::Tensor& right,
                    const MatrixProduct& product) {
  return at::matmul(product.left_transposed ? left.t() : left,
                    product.right_transposed ? right.t() : right);
}

TEST(MatrixProducts, MultipliesEitherFactorTransposed) {
  for (const bool left_transposed : {false, true}) {
    for (const bool right_transposed : {false, true}) {
      for (const bool add : {false, true}) {
        const at::Tensor left =
            left_transposed ? RandomTensor({5, 7}, 1) : RandomTensor({7, 5}, 1);
        const at::Tensor right = right_transposed ? RandomTensor({3, 5}, 2)
                                                  : RandomTensor({5, 3}, 2);
        const at::Tensor before = RandomTensor({7, 3}, 3);
        at::Tensor out = before.clone();
        const MatrixProduct product = {.left = left.const_data_ptr<float>(),
                                       .right = right.const_data_ptr<float>(),
                                       .out = out.mutable_data_ptr<float>(),
                                       .rows = 7,
                                       .columns = 3,
                                       .depth = 5,
                                       .left_stride = left.size(1),
                                       .right_stride = right.size(1),
                                       .out_stride = 3,
                                       .left_transposed = left_transposed,
                                       .right_transposed = right_transposed,
                                       .add = add};

        Multiply({&product, 1});

        at::Tensor expected = Expected(left, right, product);
        if (add) expected.add_(before);
        EXPECT_LT(RelativeDifference(out, expected), kTolerance);
      }
    }
  }
}

TEST(MatrixProducts, ProductsOfAllSizesShareTheThreads) {
  // The first is most of the work, the last ones are hardly any.
  const std::vector<int64_t> sizes = {200, 1, 90, 90, 2, 40, 1, 1};
  std::vector<at::Tensor> left;
  std::vector<at::Tensor> right;
  std::vector<at::Tensor> out;
  std::vector<MatrixProduct> products;
  for (const int64_t size : sizes) {
    left.push_back(RandomTensor({size, size}, 1));
    right.push_back(RandomTensor({size, 64}, 2));
    out.push_back(at::empty({size, 64}));
    products.push_back({.left = left.back().const_data_ptr<float>(),
                        .right = right.back().const_data_ptr<float>(),
                        .out = out.back().mutable_data_ptr<float>(),
                        .rows = size,
                        .columns = 64,
                        .depth = size,
                        .left_stride = size,
                        .right_stride = 64,
                        .out_stride = 64});
  }

  Multiply(products);

  for (size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_LT(RelativeDifference(out[i], at::matmul(left[i], right[i])),
              kTolerance)
        << i;
  }
}

TEST(MatrixProducts, WritesOnlyItsColumns) {
  const at::Tensor left = RandomTensor({4, 6}, 1);
  const at::Tensor right = RandomTensor({6, 2}, 2);
  const at::Tensor before = RandomTensor({4, 9}, 3);
  at::Tensor out = before.clone();

  Multiply(std::vector<MatrixProduct>{{.left = left.const_data_ptr<float>(),
                                       .right = right.const_data_ptr<float>(),
                                       .out = out.mutable_data_ptr<float>() + 3,
                                       .rows = 4,
                                       .columns = 2,
                                       .depth = 6,
                                       .left_stride = 6,
                                       .right_stride = 2,
                                       .out_stride = 9}});

  EXPECT_LT(RelativeDifference(out.narrow(1, 3, 2), at::matmul(left, right)),
            kTolerance);
  EXPECT_TRUE(out.narrow(1, 0, 3).equal(before.narrow(1, 0, 3)));
  EXPECT_TRUE(out.narrow(1, 5, 4).equal(before.narrow(1, 5, 4)));
}

TEST(MatrixProducts, NoneIsNothingToDo) { Multiply({}); }

}  // namespace
}  // namespace attune::worker
