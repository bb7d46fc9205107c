#include "worker/models/decoder_pass.h"

#include <ATen/ops/equal.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

QkvRows RowsOfLayer(uint64_t seed) {
  return {RandomTensor({2, 3, 4}, seed), RandomTensor({2, 3, 4}, seed + 1),
          RandomTensor({2, 3, 4}, seed + 2)};
}

TEST(DecoderPass, SequencesTakeTheirRowsOfEveryLayer) {
  KvSequence sequence;
  PackedRows rows;
  rows.embeddings = RandomTensor({3, 8}, 1);
  rows.segments = {{.begin = 0, .length = 1},
                   {.begin = 1, .length = 2, .sequence = &sequence}};
  LayerKeys kept;
  DecoderPass pass(rows, /*num_layers=*/2, at::Device(at::kCPU), &kept);
  const QkvRows first = RowsOfLayer(10);
  const QkvRows second = RowsOfLayer(20);

  pass.Attend(first);
  pass.Attend(second);
  EXPECT_EQ(sequence.length(), 0);
  pass.Commit();

  ASSERT_EQ(sequence.length(), 2);
  EXPECT_TRUE(at::equal(sequence.keys(0), first.k.narrow(1, 1, 2)));
  EXPECT_TRUE(at::equal(sequence.values(1), second.v.narrow(1, 1, 2)));
  ASSERT_EQ(kept.keys.size(), 2u);
  EXPECT_TRUE(at::equal(kept.keys[1], second.k));
}

TEST(DecoderPass, OnlyWantedRowsAreLeftBehindTheLastLayersAttention) {
  PackedRows rows;
  rows.embeddings = RandomTensor({3, 8}, 1);
  rows.segments = {{.begin = 0, .length = 3}};
  rows.wanted = {2, 0};
  DecoderPass pass(rows, /*num_layers=*/2, at::Device(at::kCPU),
                   /*keep=*/nullptr);
  const at::Tensor x = RandomTensor({3, 5}, 2);

  pass.Attend(RowsOfLayer(10));
  const at::Tensor before = pass.Wanted(x);
  pass.Attend(RowsOfLayer(20));
  const at::Tensor behind = pass.Wanted(x);

  EXPECT_TRUE(before.is_same(x));
  ASSERT_EQ(behind.size(0), 2);
  EXPECT_TRUE(at::equal(behind[0], x[2]));
  EXPECT_TRUE(at::equal(behind[1], x[0]));
}

TEST(DecoderPass, RowsAreNotCopiedWhereAllAreWanted) {
  for (const std::vector<int64_t>& wanted :
       {std::vector<int64_t>(), std::vector<int64_t>{0, 1, 2}}) {
    PackedRows rows;
    rows.embeddings = RandomTensor({3, 8}, 1);
    rows.segments = {{.begin = 0, .length = 3}};
    rows.wanted = wanted;
    DecoderPass pass(rows, /*num_layers=*/1, at::Device(at::kCPU),
                     /*keep=*/nullptr);
    const at::Tensor x = RandomTensor({3, 5}, 2);

    pass.Attend(RowsOfLayer(10));

    EXPECT_TRUE(pass.Wanted(x).is_same(x));
  }
}

TEST(DecoderPass, SequencesAreConstants) {
  KvSequence sequence;
  const std::vector<Segment> segments = {
      {.begin = 0, .length = 1, .sequence = &sequence}};

  EXPECT_OK(DecoderPass::CheckSequences(segments, /*differentiable=*/false));
  EXPECT_THAT(DecoderPass::CheckSequences(segments, /*differentiable=*/true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("differentiable")));
}

}  // namespace
}  // namespace attune::worker
