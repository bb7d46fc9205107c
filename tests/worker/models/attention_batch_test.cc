#include "worker/models/attention_batch.h"

#include <ATen/ops/zeros.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/kv_cache.h"

// A name of its own: several tests are compiled together.
namespace attune::worker::attention_batch_test {
namespace {

using ::testing::ElementsAre;
using Own = AttentionLayout::Own;

constexpr int64_t kKvHeads = 2;
constexpr int64_t kGroup = 3;

QkvRows Rows(int64_t rows) {
  return {at::zeros({kKvHeads, rows * kGroup, 4}),
          RandomTensor({kKvHeads, rows, 4}, 1),
          RandomTensor({kKvHeads, rows, 4}, 2)};
}

// A prompt of 3 rows, and a text of 4 behind it.
AttentionLayout PromptAndText(Own own = Own::kCausal) {
  return AttentionLayout(
      {{.begin = 0, .length = 3}, {.begin = 3, .length = 4, .parent = 0}}, own);
}

TEST(AttentionBatch, TellsItsShape) {
  const AttentionLayout layout = PromptAndText();
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout);

  EXPECT_EQ(batch.kv_heads, kKvHeads);
  EXPECT_EQ(batch.num_rows, 7);
  EXPECT_EQ(batch.group, kGroup);
  EXPECT_EQ(batch.OwnKeys({.begin = 3, .length = 4}), 4);
  EXPECT_EQ(batch.OwnSize({.begin = 3, .length = 4}), kKvHeads * kGroup * 16);
}

TEST(AttentionBatch, ACausalRowSeesItsOwnSegmentUpToItself) {
  const AttentionLayout layout = PromptAndText();
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout);
  const auto& family = layout.families()[1];

  const auto sight = batch.Sight(family, family.segments[0], /*inside=*/1, 0);

  EXPECT_EQ(sight.shared_length, 3);
  EXPECT_EQ(sight.own_length, 4);
  EXPECT_EQ(sight.visible, 2);
  EXPECT_EQ(sight.hidden, 0);
  EXPECT_EQ(sight.bias, nullptr);
}

TEST(AttentionBatch, ARowOfAnEncoderSeesAllOfIt) {
  const AttentionLayout layout = PromptAndText(Own::kAll);
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout);
  const auto& family = layout.families()[1];

  EXPECT_EQ(batch.Sight(family, family.segments[0], 1, 0).visible, 4);
}

TEST(AttentionBatch, AWindowCountsKeysOfBothPieces) {
  const AttentionLayout layout = PromptAndText();
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout,
                             {.window = 2, .bias = {}});
  const auto& family = layout.families()[1];

  // Position 3 sees 2 and 3, position 5 sees 4 and 5.
  EXPECT_EQ(batch.Sight(family, family.segments[0], 0, 0).hidden, 2);
  EXPECT_EQ(batch.Sight(family, family.segments[0], 2, 0).hidden, 4);
}

TEST(AttentionBatch, ABiasBeginsAtTheFirstKey) {
  const AttentionLayout layout = PromptAndText();
  const at::Tensor bias = RandomTensor({kKvHeads * kGroup, 2 * 10 - 1}, 3);
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout,
                             {.window = 0, .bias = bias});
  const auto& family = layout.families()[1];

  const auto sight = batch.Sight(family, family.segments[0], /*inside=*/1,
                                 /*head=*/5);

  // Key 0 is 4 positions before the row, which is key 4.
  EXPECT_EQ(sight.bias[0], bias[5][9 - 4].item<float>());
  EXPECT_EQ(sight.bias[4], bias[5][9].item<float>());
}

TEST(AttentionBatch, SharedKeysComeInOrder) {
  const KvBlock prefix({RandomTensor({kKvHeads, 5, 4}, 4)},
                       {RandomTensor({kKvHeads, 5, 4}, 5)});
  const AttentionLayout layout({{.begin = 0, .length = 3, .prefix = &prefix},
                                {.begin = 3, .length = 4, .parent = 0}});
  const AttentionBatch batch(Rows(7), /*layer=*/0, layout);
  std::vector<int64_t> offsets;
  std::vector<int64_t> lengths;
  std::vector<bool> cached;

  batch.ForShared(
      layout.families()[1],
      [&](int64_t offset, const at::Tensor& keys, const at::Tensor& values,
          const AttentionLayout::Range* range) {
        EXPECT_EQ(keys.sizes(), values.sizes());
        offsets.push_back(offset);
        lengths.push_back(keys.size(1));
        cached.push_back(range == nullptr);
      });

  EXPECT_THAT(offsets, ElementsAre(0, 5));
  EXPECT_THAT(lengths, ElementsAre(5, 3));
  EXPECT_THAT(cached, ElementsAre(true, false));
}

}  // namespace
}  // namespace attune::worker::attention_batch_test
