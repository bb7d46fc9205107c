#include "worker/models/head_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker::cpu_rows {
namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kHeads = 6;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kHeadDim = 8;

struct Split {
  at::Tensor qkv;
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

Split Empty(at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(dtype);
  return {at::empty({kRows, (kHeads + 2 * kKvHeads) * kHeadDim}, options),
          at::empty({kKvHeads, kRows * (kHeads / kKvHeads), kHeadDim}, options),
          at::empty({kKvHeads, kRows, kHeadDim}, options),
          at::empty({kKvHeads, kRows, kHeadDim}, options)};
}

template <typename Number>
SplitHeadsArgs<Number> Args(const Split& split, const at::Tensor& cosines,
                            const at::Tensor& sines, int64_t rotary_dim) {
  return {.qkv = static_cast<Number*>(split.qkv.data_ptr()),
          .q = static_cast<Number*>(split.q.data_ptr()),
          .k = static_cast<Number*>(split.k.data_ptr()),
          .v = static_cast<Number*>(split.v.data_ptr()),
          .cosines = cosines.const_data_ptr<float>(),
          .sines = sines.const_data_ptr<float>(),
          .rows = kRows,
          .heads = kHeads,
          .kv_heads = kKvHeads,
          .head_dim = kHeadDim,
          .rotary_dim = rotary_dim,
          .scale = 0.5f};
}

// Rotates by one angle per pair, forth or back: the result of fp32 and of bf16.
struct Angles {
  at::Tensor cosines;
  at::Tensor sines;
};

Angles SomeAngles(int64_t rotary_dim) {
  const at::Tensor angles = RandomTensor({kRows, rotary_dim / 2}, 9);
  return {angles.cos(), angles.sin()};
}

TEST(HeadRows, NarrowRowsAreTheWideOnesRounded) {
  for (const int64_t rotary_dim : {8, 4}) {
    const Angles angles = SomeAngles(rotary_dim);
    Split narrow = Empty(at::kBFloat16);
    narrow.qkv.copy_(RandomTensor(narrow.qkv.sizes().vec(), 1));
    Split wide = Empty(at::kFloat);
    wide.qkv.copy_(narrow.qkv);

    SplitHeads(Args<uint16_t>(narrow, angles.cosines, angles.sines, rotary_dim),
               0, kRows);
    SplitHeads(Args<float>(wide, angles.cosines, angles.sines, rotary_dim), 0,
               kRows);

    EXPECT_TRUE(narrow.q.equal(wide.q.to(at::kBFloat16)));
    EXPECT_TRUE(narrow.k.equal(wide.k.to(at::kBFloat16)));
    EXPECT_TRUE(narrow.v.equal(wide.v.to(at::kBFloat16)));
  }
}

TEST(HeadRows, SoAreTheirGradients) {
  const Angles angles = SomeAngles(8);
  Split narrow = Empty(at::kBFloat16);
  Split wide = Empty(at::kFloat);
  for (const auto& [from, to] :
       {std::pair(narrow.q, wide.q), std::pair(narrow.k, wide.k),
        std::pair(narrow.v, wide.v)}) {
    from.copy_(RandomTensor(from.sizes().vec(), 2));
    to.copy_(from);
  }

  SplitHeadsBackward(Args<uint16_t>(narrow, angles.cosines, angles.sines, 8), 0,
                     kRows);
  SplitHeadsBackward(Args<float>(wide, angles.cosines, angles.sines, 8), 0,
                     kRows);

  EXPECT_TRUE(narrow.qkv.equal(wide.qkv.to(at::kBFloat16)));
}

TEST(HeadRows, RowsOutsideTheRangeStayUntouched) {
  const Angles angles = SomeAngles(8);
  Split split = Empty(at::kFloat);
  split.qkv.fill_(1);
  split.k.fill_(7);

  SplitHeads(Args<float>(split, angles.cosines, angles.sines, 8), 1, 3);

  EXPECT_TRUE((split.k.select(1, 0) == 7).all().item<bool>());
  EXPECT_FALSE((split.k.select(1, 1) == 7).any().item<bool>());
  EXPECT_TRUE((split.k.select(1, 3) == 7).all().item<bool>());
}

}  // namespace
}  // namespace attune::worker::cpu_rows
