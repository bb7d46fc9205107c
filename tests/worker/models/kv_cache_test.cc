#include "worker/models/kv_cache.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

// [kv_heads = 2, n, head_dim = 4], all `value`.
at::Tensor Rows(int64_t n, float value) {
  return at::full({2, n, 4}, value, at::kFloat);
}

TEST(KvBlock, KnowsItsLengthAndSize) {
  const KvBlock block({Rows(3, 1), Rows(3, 2)}, {Rows(3, 3), Rows(3, 4)});

  EXPECT_EQ(block.length(), 3);
  EXPECT_EQ(block.num_layers(), 2);
  EXPECT_EQ(block.num_bytes(), 4u * 2 * 3 * 4 * sizeof(float));
}

TEST(KvBlock, MayLeaveLayersOut) {
  const KvBlock block({Rows(3, 1), Rows(3, 2)}, {Rows(3, 3), Rows(3, 4)},
                      /*first_layer=*/2);

  EXPECT_FALSE(block.HasLayer(1));
  EXPECT_TRUE(block.HasLayer(2));
  EXPECT_TRUE(block.HasLayer(3));
  EXPECT_FALSE(block.HasLayer(4));
  EXPECT_TRUE(at::equal(block.keys(3), Rows(3, 2)));
  EXPECT_TRUE(at::equal(block.values(2), Rows(3, 3)));
}

TEST(KvSequence, IsEmptyAtFirst) {
  const KvSequence sequence;

  EXPECT_EQ(sequence.length(), 0);
  EXPECT_EQ(sequence.num_bytes(), 0u);
  EXPECT_FALSE(sequence.keys(0).defined());
}

TEST(KvSequence, ShowsWhatIsCommitted) {
  KvSequence sequence;
  sequence.Write(0, Rows(2, 1), Rows(2, 2));
  EXPECT_FALSE(sequence.keys(0).defined());

  sequence.Commit(2);

  EXPECT_TRUE(at::equal(sequence.keys(0), Rows(2, 1)));
  EXPECT_TRUE(at::equal(sequence.values(0), Rows(2, 2)));
}

TEST(KvSequence, GrowsBeyondItsReserveAndKeepsWhatItHad) {
  KvSequence sequence(/*reserve=*/2);
  for (int step = 0; step < 9; ++step) {
    for (int64_t layer = 0; layer < 3; ++layer) {
      sequence.Write(layer, Rows(1, 10 * layer + step), Rows(1, -step));
    }
    sequence.Commit(1);
  }

  EXPECT_EQ(sequence.length(), 9);
  EXPECT_THAT(sequence.keys(2).sizes(), ElementsAre(2, 9, 4));
  for (int step = 0; step < 9; ++step) {
    EXPECT_TRUE(
        at::equal(sequence.keys(2).narrow(1, step, 1), Rows(1, 20 + step)));
    EXPECT_TRUE(
        at::equal(sequence.values(0).narrow(1, step, 1), Rows(1, -step)));
  }
}

TEST(KvSequence, TruncateForgetsTheEnd) {
  KvSequence sequence;
  sequence.Write(0, Rows(4, 1), Rows(4, 1));
  sequence.Commit(4);

  sequence.Truncate(1);
  sequence.Write(0, Rows(1, 7), Rows(1, 7));
  sequence.Commit(1);

  EXPECT_EQ(sequence.length(), 2);
  EXPECT_TRUE(at::equal(sequence.keys(0).narrow(1, 1, 1), Rows(1, 7)));
}

TEST(KvSequence, TruncateNeverLengthens) {
  KvSequence sequence;
  sequence.Write(0, Rows(1, 1), Rows(1, 1));
  sequence.Commit(1);

  sequence.Truncate(5);

  EXPECT_EQ(sequence.length(), 1);
}

}  // namespace
}  // namespace attune::worker
