#include "worker/models/relative_position_bias.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> BucketsOf(const PositionBuckets& buckets,
                               std::vector<int64_t> distances) {
  const at::Tensor of = buckets.Of(at::tensor(distances, at::kLong));
  const int64_t* data = of.const_data_ptr<int64_t>();
  return {data, data + of.numel()};
}

// What transformers computes for the 32 buckets up to 128 of published models.
TEST(RelativePositionBias, NearDistancesHaveABucketEach) {
  const PositionBuckets both = {
      .both_ways = true, .count = 32, .max_distance = 128};

  EXPECT_THAT(BucketsOf(both, {0, -1, -7, -8, -11, -12, 1, 7, 8, 12}),
              ElementsAre(0, 1, 7, 8, 8, 9, 17, 23, 24, 25));
}

TEST(RelativePositionBias, FarDistancesShareBuckets) {
  const PositionBuckets both = {
      .both_ways = true, .count = 32, .max_distance = 128};

  EXPECT_THAT(BucketsOf(both, {-15, -16, -22, -23, -63, -64, -90, -91, -5000}),
              ElementsAre(9, 10, 10, 11, 13, 14, 14, 15, 15));
  EXPECT_THAT(BucketsOf(both, {64, 128, 5000}), ElementsAre(30, 31, 31));
}

TEST(RelativePositionBias, OneWayLaterKeysShareTheFirst) {
  const PositionBuckets one_way = {
      .both_ways = false, .count = 8, .max_distance = 20};

  EXPECT_THAT(BucketsOf(one_way, {2, 0, -3, -5, -6, -8, -9, -13, -14, -99}),
              ElementsAre(0, 0, 3, 4, 5, 5, 6, 6, 7, 7));
}

TEST(RelativePositionBias, EveryDistanceHasTheNumberOfItsBucket) {
  const PositionBuckets buckets = {
      .both_ways = true, .count = 8, .max_distance = 5};
  const at::Tensor table = RandomTensor({8, 3}, 1);
  const RelativePositionBias bias(table, buckets);

  // Shorter than, as long as and longer than the reach of the buckets.
  for (const int64_t span : {1, 2, 6, 30}) {
    const at::Tensor of = buckets.Of(at::arange(1 - span, span, at::kLong));
    const at::Tensor expected = table.index_select(0, of).t();
    EXPECT_TRUE(at::equal(bias.For(span), expected)) << span;
    EXPECT_TRUE(bias.For(span).is_contiguous()) << span;
  }
}

TEST(RelativePositionBias, ANarrowTableGivesFp32) {
  const PositionBuckets buckets = {
      .both_ways = false, .count = 4, .max_distance = 9};
  const RelativePositionBias bias(RandomTensor({4, 2}, 1).to(at::kBFloat16),
                                  buckets);

  EXPECT_EQ(bias.For(3).scalar_type(), at::kFloat);
  EXPECT_EQ(bias.For(3).sizes(), (at::IntArrayRef{2, 5}));
}

}  // namespace
}  // namespace attune::worker
