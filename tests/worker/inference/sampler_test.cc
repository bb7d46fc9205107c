#include "worker/inference/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace attune::worker {
namespace {

using testing::ElementsAre;

// Logits of these probabilities.
std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double probability : probabilities) {
    logits.push_back(static_cast<float>(std::log(probability)));
  }
  return logits;
}

std::vector<int64_t> Draw(const SamplingOptions& options,
                          const std::vector<float>& logits, int count) {
  Sampler sampler(options);
  std::vector<int64_t> ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(sampler.Next(logits).value());
  }
  return ids;
}

TEST(Sampler, TemperatureZeroTakesTheLikeliest) {
  EXPECT_THAT(Draw({}, {0.5f, 2.0f, 1.5f}, 2), ElementsAre(1, 1));
}

TEST(Sampler, EqualLogitsGiveTheLowerId) {
  EXPECT_THAT(Draw({}, {1.0f, 3.0f, 3.0f}, 1), ElementsAre(1));
}

TEST(Sampler, DrawsByTheKnownNumbersOfSplitMix64) {
  // Seed 0 begins with 0.8833, 0.4315, 0.0264, 0.9709.
  EXPECT_THAT(Draw({.temperature = 1}, LogitsOf({0.3, 0.5, 0.2}), 4),
              ElementsAre(2, 1, 0, 2));
}

TEST(Sampler, SameSeedGivesTheSameTokens) {
  const std::vector<float> logits = LogitsOf({0.25, 0.25, 0.25, 0.25});

  EXPECT_EQ(Draw({.temperature = 0.7, .seed = 42}, logits, 20),
            Draw({.temperature = 0.7, .seed = 42}, logits, 20));
  EXPECT_NE(Draw({.temperature = 0.7, .seed = 42}, logits, 20),
            Draw({.temperature = 0.7, .seed = 43}, logits, 20));
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitiesSay) {
  std::map<int64_t, int> counts;
  for (int64_t id :
       Draw({.temperature = 1, .seed = 7}, LogitsOf({0.1, 0.6, 0.3}), 10000)) {
    ++counts[id];
  }

  // Three standard deviations of 10,000 draws are below 150.
  EXPECT_NEAR(counts[0], 1000, 150);
  EXPECT_NEAR(counts[1], 6000, 150);
  EXPECT_NEAR(counts[2], 3000, 150);
}

TEST(Sampler, TemperatureSharpens) {
  // 0.6^2 : 0.4^2 = 0.36 : 0.16, so 0.692 : 0.308.
  int first = 0;
  for (int64_t id :
       Draw({.temperature = 0.5, .seed = 1}, LogitsOf({0.6, 0.4}), 10000)) {
    first += id == 0 ? 1 : 0;
  }

  EXPECT_NEAR(first, 6923, 150);
}

TEST(Sampler, TopKLeavesTheLikeliest) {
  for (int64_t id : Draw({.temperature = 1, .top_k = 2, .seed = 3},
                         LogitsOf({0.1, 0.4, 0.2, 0.3}), 200)) {
    EXPECT_TRUE(id == 1 || id == 3) << id;
  }
}

TEST(Sampler, TopPLeavesTheSmallestSetThatReachesIt) {
  for (int64_t id : Draw({.temperature = 1, .top_p = 0.65, .seed = 3},
                         LogitsOf({0.1, 0.4, 0.2, 0.3}), 200)) {
    EXPECT_TRUE(id == 1 || id == 3) << id;
  }
}

TEST(Sampler, TopPIsAShareOfWhatTopKLeaves) {
  // Of 0.4 and 0.3 the first is 0.57, which reaches 0.5 alone.
  EXPECT_THAT(Draw({.temperature = 1, .top_k = 2, .top_p = 0.5, .seed = 3},
                   LogitsOf({0.1, 0.4, 0.2, 0.3}), 5),
              ElementsAre(1, 1, 1, 1, 1));
}

TEST(Sampler, AtLeastOneTokenIsLeft) {
  EXPECT_THAT(Draw({.temperature = 1, .top_p = 1e-9}, LogitsOf({0.3, 0.7}), 1),
              ElementsAre(1));
}

TEST(Sampler, LogitsThatAreNotFiniteAreAnError) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  Sampler sampler({});

  EXPECT_TRUE(
      absl::IsInternal(sampler.Next(std::vector<float>{nan, nan}).status()));
  EXPECT_TRUE(absl::IsInternal(
      sampler.Next(std::vector<float>{0.0f, infinity}).status()));
  EXPECT_TRUE(absl::IsInternal(sampler.Next({}).status()));
}

}  // namespace
}  // namespace attune::worker
