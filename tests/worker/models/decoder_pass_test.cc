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
  DecoderPass pass(rows, at::Device(at::kCPU), &kept);
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
