#include "worker/models/bf16_factors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"

namespace attune::worker::bf16_factors {
namespace {

// Exact products of bf16 numbers, whose sums of at most 600 are made in another
// order.
constexpr double kTolerance = 1e-6;

// What a buffer holds before anything is written to it.
constexpr uint16_t kNothing = 0x7fff;

at::Tensor Narrow(std::vector<int64_t> shape, uint64_t seed) {
  return RandomTensor(std::move(shape), seed).to(at::kBFloat16);
}

at::Tensor Wide(const at::Tensor& x) { return x.to(at::kFloat); }

// 100 * row + column.
std::vector<uint16_t> Numbered(int64_t rows, int64_t columns) {
  std::vector<uint16_t> numbers;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      numbers.push_back(static_cast<uint16_t>(100 * row + column));
    }
  }
  return numbers;
}

TEST(Bf16Factors, RowsArePackedInPairs) {
  // Odd numbers of rows, columns on both sides of what a register holds.
  for (const int64_t rows : {1, 2, 5}) {
    for (const int64_t columns : {1, 31, 32, 70}) {
      const std::vector<uint16_t> in = Numbered(rows, columns + 3);
      std::vector<uint16_t> out(8 * 80, kNothing);

      PackRows(in.data(), columns + 3, rows, /*padded=*/8, columns,
               /*out_columns=*/80, out.data());

      for (int64_t row = 0; row < 8; ++row) {
        for (int64_t column = 0; column < 80; ++column) {
          const uint16_t packed = out[((row / 2) * 80 + column) * 2 + row % 2];
          const int64_t expected = column >= columns ? kNothing
                                   : row >= rows     ? 0
                                                     : 100 * row + column;
          ASSERT_EQ(packed, expected)
              << rows << " " << columns << " at " << row << ", " << column;
        }
      }
    }
  }
}

TEST(Bf16Factors, TransposesArePackedInPanels) {
  for (const int64_t rows : {1, 15, 16, 64, 71}) {
    for (const int64_t depth : {2, 30, 32, 80}) {
      const int64_t padded = Padded(rows);
      const std::vector<uint16_t> in = Numbered(rows, depth + 2);
      std::vector<uint16_t> out(NumPanels(padded) * kPanel * depth, kNothing);

      PackTransposed(in.data(), depth + 2, rows, padded, depth, out.data());

      for (int64_t row = 0; row < padded; ++row) {
        for (int64_t i = 0; i < depth; ++i) {
          const int64_t panel = row / kPanel * kPanel * depth;
          const uint16_t packed =
              out[panel + ((i / 2) * kPanel + row % kPanel) * 2 + i % 2];
          ASSERT_EQ(packed, row >= rows ? 0 : 100 * row + i)
              << rows << " " << depth << " at " << row << ", " << i;
        }
      }
    }
  }
}

TEST(Bf16Factors, LeftFactorsAreTransposedWithZerosBehind) {
  for (const int64_t rows : {1, 15, 16, 37}) {
    for (const int64_t columns : {2, 30, 32, 80}) {
      const int64_t padded = Padded(rows);
      const std::vector<uint16_t> in = Numbered(rows, columns);
      std::vector<uint16_t> out(columns * 50, kNothing);

      Transpose(in.data(), rows, padded, columns, /*out_stride=*/50,
                out.data());

      for (int64_t column = 0; column < columns; ++column) {
        for (int64_t row = 0; row < 50; ++row) {
          ASSERT_EQ(out[column * 50 + row], row < rows     ? 100 * row + column
                                            : row < padded ? 0
                                                           : kNothing)
              << rows << " " << columns << " at " << row << ", " << column;
        }
      }
    }
  }
}

TEST(Bf16Factors, ProductsAreExactForBf16Numbers) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  for (const auto& [rows, columns, depth] :
       std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {16, 64, 16}, {3, 8, 48}, {128, 64, 592}, {48, 20, 240}}) {
    const at::Tensor left = Narrow({rows, depth}, 1);
    const at::Tensor right = Narrow({depth, columns}, 2);
    at::Tensor packed = at::empty({depth * columns}, at::kBFloat16);
    PackRows(BitsOf(right), columns, depth, depth, columns, columns,
             BitsOf(packed));
    const at::Tensor exact = at::matmul(Wide(left), Wide(right));
    at::Tensor out = at::full({rows, columns + 5}, 7.0f);

    for (const bool add : {false, true}) {
      Multiply(rows, columns, depth, {BitsOf(left), depth}, BitsOf(packed),
               {out.mutable_data_ptr<float>(), columns + 5}, add);

      EXPECT_LT(RelativeDifference(out.narrow(1, 0, columns),
                                   add ? exact * 2 : exact),
                kTolerance);
      EXPECT_TRUE((out.narrow(1, columns, 5) == 7).all().item<bool>());
    }
    Release();
  }
}

TEST(Bf16Factors, PanelsGoWhereTheyAreSent) {
  if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  const int64_t depth = 40;
  const int64_t count = 150;
  const at::Tensor left = Narrow({20, depth}, 1);
  const at::Tensor right = Narrow({count, depth}, 2);
  const int64_t padded = Padded(count);
  at::Tensor packed =
      at::empty({NumPanels(padded) * kPanel * depth}, at::kBFloat16);
  PackTransposed(BitsOf(right), depth, count, padded, depth, BitsOf(packed));
  at::Tensor out = at::zeros({20, padded});

  MultiplyPanels(20, padded, depth, {BitsOf(left), depth}, BitsOf(packed),
                 kPanel * depth, {out.mutable_data_ptr<float>(), padded},
                 kPanel, /*add=*/false);
  Release();

  EXPECT_LT(RelativeDifference(out.narrow(1, 0, count),
                               at::matmul(Wide(left), Wide(right).t())),
            kTolerance);
  EXPECT_TRUE((out.narrow(1, count, padded - count) == 0).all().item<bool>());
}

TEST(Bf16Factors, RoomGrowsAndIsUsedAgain) {
  at::Tensor buffer;
  float* first = Room<float>(buffer, 100);

  EXPECT_EQ(Room<float>(buffer, 50), first);
  EXPECT_GE(buffer.numel(), 100);
  Room<float>(buffer, 1000);
  EXPECT_GE(buffer.numel(), 1000);
}

TEST(Bf16Factors, EmptyRowsHaveRoomBehindThem) {
  const at::Tensor rows = EmptyRows({2, 3, 8});

  EXPECT_EQ(rows.sizes(), (std::vector<int64_t>{2, 3, 8}));
  EXPECT_TRUE(HasRoom(rows));
  EXPECT_FALSE(HasRoom(at::empty({2, 3, 8}, at::kBFloat16)));
  EXPECT_FALSE(HasRoom(rows.transpose(0, 1)));
  EXPECT_FALSE(HasRoom(rows.to(at::kFloat)));
}

}  // namespace
}  // namespace attune::worker::bf16_factors
