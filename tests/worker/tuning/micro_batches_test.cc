#include "worker/tuning/micro_batches.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace attune::worker {
namespace {

// "begin+count begin+count".
std::string Parts(const std::vector<int64_t>& rows, int64_t prompt_rows,
                  int64_t max_rows) {
  std::string text;
  for (const MicroBatch& part : SplitBatch(rows, prompt_rows, max_rows)) {
    absl::StrAppend(&text, text.empty() ? "" : " ", part.begin, "+",
                    part.count);
  }
  return text;
}

TEST(MicroBatches, ABatchThatFitsStaysWhole) {
  EXPECT_EQ(Parts({10, 20, 30}, 40, 100), "0+3");
}

TEST(MicroBatches, ABatchThatDoesNotFitIsCut) {
  EXPECT_EQ(Parts({10, 20, 30, 5, 5}, 40, 80), "0+2 2+3");
}

TEST(MicroBatches, ASampleThatIsTooLongStandsAlone) {
  EXPECT_EQ(Parts({10, 500, 10}, 40, 80), "0+1 1+1 2+1");
}

TEST(MicroBatches, NothingIsNoPart) { EXPECT_EQ(Parts({}, 40, 80), ""); }

TEST(MicroBatches, RowsFollowFromTheModelsShape) {
  ModelConfig config;
  config.num_layers = 30;
  config.dim = 576;
  config.ffn_dim = 1536;

  // 30 * (8 * 576 + 4 * 1536) * 4 bytes = 1.29 MB a row.
  EXPECT_EQ(MaxTrainingRows(config, int64_t{4} << 30), 3328);
  EXPECT_EQ(MaxTrainingRows(config, 1), 1);
}

TEST(MicroBatches, ARunHasAtMostSoManySamples) {
  const std::vector<int64_t> rows = {5, 5, 5, 5, 5};

  const std::vector<MicroBatch> batches =
      SplitBatch(rows, /*prompt_rows=*/2, /*max_rows=*/1'000,
                 /*max_samples=*/2);

  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].count, 2u);
  EXPECT_EQ(batches[1].begin, 2u);
  EXPECT_EQ(batches[2].count, 1u);
}

}  // namespace
}  // namespace attune::worker
