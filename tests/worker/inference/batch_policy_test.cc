#include "worker/inference/batch_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::worker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr BatchLimits kLimits = {.max_rows = 100, .max_generations = 2};

WaitingInput Classification(int64_t rows) { return {rows, 0}; }
WaitingInput WaitingGeneration(int64_t rows, int64_t sequences = 1) {
  return {rows, sequences};
}

TEST(ChooseInputs, NothingWaits) {
  EXPECT_THAT(ChooseInputs({}, 0, kLimits), IsEmpty());
}

TEST(ChooseInputs, TakesWhatFitsIntoTheRows) {
  EXPECT_THAT(
      ChooseInputs({Classification(40), Classification(60), Classification(1)},
                   0, kLimits),
      ElementsAre(0, 1));
}

TEST(ChooseInputs, AnInputBeyondTheLimitIsTakenAlone) {
  EXPECT_THAT(
      ChooseInputs({Classification(500), Classification(1)}, 0, kLimits),
      ElementsAre(0));
}

TEST(ChooseInputs, ALargeInputIsNotOvertakenBySmallOnes) {
  EXPECT_THAT(
      ChooseInputs({Classification(50), Classification(90), Classification(10)},
                   0, kLimits),
      ElementsAre(0));
}

TEST(ChooseInputs, GenerationsWaitForAFreePlace) {
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10), WaitingGeneration(10),
                            WaitingGeneration(10)},
                           0, kLimits),
              ElementsAre(0, 1));
  EXPECT_THAT(
      ChooseInputs({WaitingGeneration(10), WaitingGeneration(10)}, 1, kLimits),
      ElementsAre(0));
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10)}, 2, kLimits), IsEmpty());
}

TEST(ChooseInputs, ClassificationsPassGenerationsThatWaitForAPlace) {
  EXPECT_THAT(
      ChooseInputs({WaitingGeneration(10), Classification(10)}, 2, kLimits),
      ElementsAre(1));
}

TEST(ChooseInputs, EveryBeamTakesAPlace) {
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10, 2), WaitingGeneration(10)}, 0,
                           kLimits),
              ElementsAre(0));
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10, 2)}, 1, kLimits), IsEmpty());
}

TEST(ChooseInputs, ABeamSearchThatWaitsIsNotOvertakenByOtherGenerations) {
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10, 2), WaitingGeneration(10),
                            Classification(10)},
                           1, kLimits),
              ElementsAre(2));
}

TEST(ChooseInputs, MoreBeamsThanPlacesRunWithoutOtherGenerations) {
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10, 3), WaitingGeneration(10)}, 0,
                           kLimits),
              ElementsAre(0));
  EXPECT_THAT(ChooseInputs({WaitingGeneration(10, 3)}, 1, kLimits), IsEmpty());
}

}  // namespace
}  // namespace attune::worker
