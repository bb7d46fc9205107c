#include "worker/tasks/mask_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Words = std::vector<LabelTrie::Word>;

TEST(MaskWords, AreGroupedByTheirLengths) {
  const auto built = MaskWords::Build(
      Words{{0, "good", {5}}, {1, "very bad", {6, 7}}, {0, "fine", {8}}}, 2);

  ASSERT_OK(built);
  EXPECT_EQ(built->num_labels(), 2);
  EXPECT_EQ(built->max_length(), 2);
  ASSERT_THAT(built->groups(), SizeIs(2));
  EXPECT_EQ(built->groups()[0].length, 1);
  EXPECT_THAT(built->groups()[0].ids, ElementsAre(5, 8));
  EXPECT_THAT(built->groups()[0].labels, ElementsAre(0, 0));
  EXPECT_EQ(built->groups()[1].length, 2);
  EXPECT_THAT(built->groups()[1].ids, ElementsAre(6, 7));
  EXPECT_THAT(built->groups()[1].labels, ElementsAre(1));
}

TEST(MaskWords, NameAllWordsThatCannotBe) {
  EXPECT_THAT(
      MaskWords::Build(Words{{0, "good", {5}}, {1, "Good", {5}}}, 2).status(),
      ReasonIs(Reason::kInvalidField, HasSubstr("'good' and 'Good'")));
  EXPECT_THAT(
      MaskWords::Build(Words{{0, "good", {5}}, {1, "none", {}}}, 2).status(),
      ReasonIs(Reason::kInvalidField, HasSubstr("'none' has no tokens")));
  EXPECT_THAT(MaskWords::Build(
                  Words{{0, "good", {5}}, {1, "Good", {5}}, {1, "none", {}}}, 2)
                  .status(),
              ReasonIs(Reason::kInvalidField, HasSubstr("1 more")));
}

TEST(MaskWords, EveryLabelHasWords) {
  EXPECT_THAT(MaskWords::Build(Words{{0, "good", {5}}}, 2).status(),
              ReasonIs(Reason::kInvalidField, HasSubstr("label 1")));
}

}  // namespace
}  // namespace attune::worker
