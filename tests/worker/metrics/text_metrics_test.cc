#include "worker/metrics/text_metrics.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(ExactMatch, ForgivesWhiteSpaceAroundAnswers) {
  EXPECT_DOUBLE_EQ(ExactMatch({"a b", "c"}, {" a b\n", "C"}), 0.5);
  EXPECT_DOUBLE_EQ(ExactMatch({"a  b"}, {"a b"}), 0);
}

TEST(ExactMatch, OfNothingIsZero) { EXPECT_DOUBLE_EQ(ExactMatch({}, {}), 0); }

}  // namespace
}  // namespace attune::worker
