#include "server/api/row_source.h"

#include <string>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

// A source that gives `count` rows of `size` bytes, one at a time.
RowSource Rows(int count, size_t size) {
  return [count, size]() mutable -> absl::StatusOr<std::vector<std::string>> {
    std::vector<std::string> rows;
    if (count-- > 0) rows.emplace_back(size, 'x');
    return rows;
  };
}

TEST(RowSource, AChunkEndsNearOneMebibyte) {
  const RowSource source = Rows(10, 200'000);

  EXPECT_EQ(TakeChunk(source)->rows_size(), 4);
  EXPECT_EQ(TakeChunk(source)->rows_size(), 4);
  EXPECT_EQ(TakeChunk(source)->rows_size(), 2);
  EXPECT_EQ(TakeChunk(source)->rows_size(), 0);
}

TEST(RowSource, RowsWithoutASplitCountAsTraining) {
  PinnedRows rows;
  rows.split_rows = {{"", 3}, {"train", 2}, {"test", 1}};

  EXPECT_EQ(CountRowsOf(rows, "train"), 5);
  EXPECT_EQ(CountRowsOf(rows, "test"), 1);
  EXPECT_EQ(CountRowsOf(rows, "validation"), 0);
}

TEST(RowSource, AnErrorOfTheSourceIsThatOfTheChunk) {
  const RowSource source = []() -> absl::StatusOr<std::vector<std::string>> {
    return MakeError(Reason::kCorruptArtifact, "damaged");
  };

  EXPECT_THAT(TakeChunk(source), ReasonIs(Reason::kCorruptArtifact,
                                          testing::HasSubstr("damaged")));
}

}  // namespace
}  // namespace attune::server
