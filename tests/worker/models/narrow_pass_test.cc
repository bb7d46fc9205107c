#include "worker/models/narrow_pass.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"

// A name of its own: several tests are compiled together.
namespace attune::worker::narrow_pass_test {
namespace {

using bf16_factors::BitsOf;

constexpr int64_t kGroup = 3;
constexpr int64_t kHeadDim = 8;

// Exact products of bf16 numbers, summed in another order.
constexpr double kTolerance = 1e-6;

at::Tensor Rows(int64_t rows, uint64_t seed) {
  at::Tensor out = bf16_factors::EmptyRows({1, rows, kHeadDim});
  out.copy_(RandomTensor({1, rows, kHeadDim}, seed));
  return out;
}

// A prompt of 20 rows and a text of 70 behind it, which is more than a block.
const AttentionLayout& Layout() {
  static const auto* layout = new AttentionLayout(
      {{.begin = 0, .length = 20}, {.begin = 20, .length = 70, .parent = 0}});
  return *layout;
}

// Shows what a pass does with the text.
class ShownPass : public NarrowPass {
 public:
  ShownPass(const AttentionBatch& batch, bool backward)
      : NarrowPass(batch, backward) {}

  // Scores with the shared keys and with the text's own, for all query rows;
  // what a block does not see is 0.
  at::Tensor Scores(const NarrowPiece& piece) {
    std::vector<at::Tensor> blocks;
    BeginPiece(piece);
    ForBlocks(piece, [&](const NarrowBlock& block) {
      MultiplyByKeys(piece, block,
                     BitsOf(batch_.rows.q) + QueryOf(piece, block));
      const at::Tensor scores =
          at::from_blob(scores_, {block.count, piece.stride});
      at::Tensor own = at::zeros({block.count, 70});
      const int64_t seen = std::min<int64_t>(block.own_width, 70);
      own.narrow(1, 0, seen).copy_(scores.narrow(1, piece.shared_width, seen));
      blocks.push_back(at::cat({scores.narrow(1, 0, 20), own}, 1));
    });
    return at::cat(blocks);
  }

  // The same weights for all keys of a block, times these: what Combine gives.
  at::Tensor SumOfKeys(const NarrowPiece& piece) {
    at::Tensor sum;
    BeginPiece(piece);
    ForBlocks(piece, [&](const NarrowBlock& block) {
      at::Tensor ones = at::zeros({block.padded, piece.stride}, at::kBFloat16);
      ones.narrow(1, 0, 20).fill_(1);
      ones.narrow(1, piece.shared_width, block.own_width).fill_(1);
      Combine(piece, block, BitsOf(ones));
      sum = at::from_blob(rows_, {block.count, kHeadDim})[0].clone();
    });
    return sum;
  }
};

class NarrowPassTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  }

  const AttentionBatch batch_ = AttentionBatch(
      {Rows(90 * kGroup, 1), Rows(90, 2), Rows(90, 3)}, /*layer=*/0, Layout());
  const NarrowPlan plan_ = NarrowPlan(batch_, Layout());
  const NarrowPiece& text_ = plan_.pieces()[1];
};

TEST_F(NarrowPassTest, ScoresAreTheProductsWithAllKeysThatABlockSees) {
  const at::Tensor scores = ShownPass(batch_, /*backward=*/false).Scores(text_);

  at::Tensor expected = at::matmul(
      batch_.rows.q[0].narrow(0, 20 * kGroup, 70 * kGroup).to(at::kFloat),
      batch_.rows.k[0].to(at::kFloat).t());
  // The first block of 128 rows ends within position 42 and sees 48 keys.
  expected.narrow(0, 0, 128).narrow(1, 20 + 48, 22).zero_();
  EXPECT_LT(RelativeDifference(scores, expected), kTolerance);
}

TEST_F(NarrowPassTest, TheBackwardPassBeginsWithTheValues) {
  const at::Tensor scores = ShownPass(batch_, /*backward=*/true).Scores(text_);

  const at::Tensor first =
      at::matmul(batch_.rows.q[0].narrow(0, 20 * kGroup, 1).to(at::kFloat),
                 batch_.rows.v[0].narrow(0, 0, 20).to(at::kFloat).t());
  EXPECT_LT(RelativeDifference(scores.narrow(0, 0, 1).narrow(1, 0, 20), first),
            kTolerance);
}

TEST_F(NarrowPassTest, PaddedKeysCountForNothing) {
  EXPECT_LT(
      RelativeDifference(ShownPass(batch_, /*backward=*/false).SumOfKeys(text_),
                         batch_.rows.v[0].to(at::kFloat).sum(0)),
      kTolerance);
  EXPECT_LT(
      RelativeDifference(ShownPass(batch_, /*backward=*/true).SumOfKeys(text_),
                         batch_.rows.k[0].to(at::kFloat).sum(0)),
      kTolerance);
}

}  // namespace
}  // namespace attune::worker::narrow_pass_test
