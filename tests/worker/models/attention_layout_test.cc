#include "worker/models/attention_layout.h"

#include <ATen/ops/ones.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

TEST(AttentionLayout, GroupsSiblings) {
  // A prompt, three texts behind it, branches behind two of them.
  const AttentionLayout layout(
      std::vector<Segment>{{.begin = 0, .length = 5},
                           {.begin = 5, .length = 7, .parent = 0},
                           {.begin = 12, .length = 1, .parent = 0},
                           {.begin = 13, .length = 18, .parent = 0},
                           {.begin = 31, .length = 2, .parent = 1},
                           {.begin = 33, .length = 1, .parent = 1},
                           {.begin = 34, .length = 3, .parent = 3}});

  const auto& families = layout.families();
  ASSERT_EQ(families.size(), 4u);
  EXPECT_EQ(families[1].segments.size(), 3u);
  EXPECT_EQ(families[1].rows.begin, 5);
  EXPECT_EQ(families[1].rows.length, 26);
  EXPECT_EQ(families[1].shared_length, 5);
  EXPECT_EQ(families[2].shared_length, 12);
  EXPECT_EQ(families[3].ancestors.size(), 2u);
  EXPECT_THAT(families[2].segment_of_row, ElementsAre(0, 0, 1));
}

TEST(AttentionLayout, ATrainedPrefixStandsBehindTheBatch) {
  const at::Tensor keys = at::ones({2, 3, 4}).requires_grad_();
  const KvBlock trained({keys}, {keys});
  const KvBlock constant({at::ones({2, 6, 4})}, {at::ones({2, 6, 4})});
  const std::vector<Segment> segments = {
      {.begin = 0, .length = 5, .prefix = &trained},
      {.begin = 5, .length = 7, .prefix = &constant},
      {.begin = 12, .length = 2, .parent = 0}};

  const AttentionLayout layout(segments);
  const at::NoGradGuard no_grad;
  const AttentionLayout serving(segments);

  EXPECT_THAT(layout.trained(), ElementsAre(&trained));
  ASSERT_EQ(layout.families().size(), 3u);
  EXPECT_EQ(layout.families()[0].prefix, nullptr);
  EXPECT_EQ(layout.families()[0].shared_length, 3);
  EXPECT_EQ(layout.families()[0].ancestors[0].begin, 14);
  EXPECT_EQ(layout.families()[1].prefix, &constant);
  EXPECT_EQ(layout.families()[2].ancestors[0].begin, 14);
  EXPECT_EQ(layout.families()[2].ancestors[1].begin, 0);
  EXPECT_EQ(layout.families()[2].shared_length, 8);
  EXPECT_TRUE(serving.trained().empty());
  EXPECT_EQ(serving.families()[0].prefix, &trained);
}

TEST(AttentionLayout, NeighboursOfOneMemoryAreAFamily) {
  using Cross = AttentionLayout::CrossSegment;
  const AttentionLayout layout(std::vector<Cross>{
      {.rows = {0, 3}, .memory = {0, 5}, .cached = nullptr},
      {.rows = {3, 2}, .memory = {5, 9}, .cached = nullptr},
      {.rows = {5, 4}, .memory = {5, 9}, .cached = nullptr}});

  EXPECT_EQ(layout.own(), AttentionLayout::Own::kNothing);
  ASSERT_EQ(layout.families().size(), 2u);
  EXPECT_EQ(layout.families()[0].shared_length, 5);
  EXPECT_EQ(layout.families()[1].rows.begin, 3);
  EXPECT_EQ(layout.families()[1].rows.length, 6);
  EXPECT_EQ(layout.families()[1].ancestors[0].begin, 5);
}

}  // namespace
}  // namespace attune::worker
