#include "worker/models/narrow_plan.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

// A name of its own: several tests are compiled together.
namespace attune::worker::narrow_plan_test {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kKvHeads = 2;
constexpr int64_t kGroup = 3;

// A prompt of 20 rows and texts of 7 and 33 behind it.
const AttentionLayout& Layout() {
  static const auto* layout =
      new AttentionLayout({{.begin = 0, .length = 20},
                           {.begin = 20, .length = 7, .parent = 0},
                           {.begin = 27, .length = 33, .parent = 0}});
  return *layout;
}

AttentionBatch Batch() {
  return AttentionBatch(
      {at::zeros({kKvHeads, 60 * kGroup, 8}), at::zeros({kKvHeads, 60, 8}),
       at::zeros({kKvHeads, 60, 8})},
      /*layer=*/0, Layout());
}

TEST(NarrowPlan, NeighboursShareKeys) {
  const NarrowPlan plan(Batch(), Layout());
  std::vector<int64_t> heads;
  std::vector<int64_t> rows;
  for (const NarrowPiece& piece : plan.pieces()) {
    heads.push_back(piece.head);
    rows.push_back(piece.num_rows);
  }

  EXPECT_THAT(heads, ElementsAre(0, 1, 0, 0, 1, 1));
  EXPECT_THAT(rows, ElementsAre(60, 60, 21, 99, 21, 99));
  EXPECT_TRUE(plan.pieces()[2].SharesWith(plan.pieces()[3]));
  EXPECT_FALSE(plan.pieces()[3].SharesWith(plan.pieces()[4]));
}

TEST(NarrowPlan, WidthsAreWholeSteps) {
  const NarrowPlan plan(Batch(), Layout());

  EXPECT_EQ(plan.pieces()[0].shared_width, 0);
  EXPECT_EQ(plan.pieces()[0].own_width, 32);
  EXPECT_EQ(plan.pieces()[2].shared_width, 32);
  EXPECT_EQ(plan.pieces()[2].own_width, 16);
  EXPECT_EQ(plan.pieces()[3].own_width, 48);
}

TEST(NarrowPlan, ScoresDoNotOverlap) {
  const NarrowPlan plan(Batch(), Layout());
  int64_t place = 0;
  for (const NarrowPiece& piece : plan.pieces()) {
    EXPECT_EQ(piece.place, place);
    EXPECT_GE(piece.stride, piece.shared_width + piece.own_width);
    place += piece.num_rows * piece.stride;
  }
  EXPECT_GT(plan.num_scores(), place);
}

TEST(NarrowPlan, EverySharesPiecesAreRunOnce) {
  const NarrowPlan plan(Batch(), Layout());
  for (const int64_t shares : {1, 2, 3, 6, 20}) {
    std::mutex mutex;
    std::vector<int64_t> seen;

    plan.Run(shares, [&](int64_t begin, int64_t end, int64_t) {
      const std::lock_guard lock(mutex);
      for (int64_t i = begin; i < end; ++i) seen.push_back(i);
    });

    std::sort(seen.begin(), seen.end());
    EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4, 5)) << shares;
  }
}

TEST(NarrowPlan, NothingIsPlannedForNoRows) {
  const AttentionLayout layout(std::vector<Segment>{});
  const NarrowPlan plan(
      AttentionBatch({at::zeros({kKvHeads, 0, 8}), at::zeros({kKvHeads, 0, 8}),
                      at::zeros({kKvHeads, 0, 8})},
                     /*layer=*/0, layout),
      layout);

  EXPECT_TRUE(plan.pieces().empty());
  EXPECT_EQ(plan.NumShares(), 1);
}

}  // namespace
}  // namespace attune::worker::narrow_plan_test
