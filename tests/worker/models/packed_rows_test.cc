#include "worker/models/packed_rows.h"

#include <ATen/ops/zeros.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelConfig RowsConfig() {
  ModelConfig config;
  config.embedding_dim = 8;
  config.dim = 8;
  config.num_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 2;
  config.head_dim = 4;
  config.context_length = 16;
  return config;
}

KvBlock Prefix(int64_t length, int64_t kv_heads = 2) {
  return KvBlock({at::zeros({kv_heads, length, 4})},
                 {at::zeros({kv_heads, length, 4})});
}

absl::Status Check(int64_t rows, std::vector<Segment> segments) {
  return CheckPackedRows({at::zeros({rows, 8}), std::move(segments)},
                         RowsConfig());
}

auto IsInvalid(const std::string& what) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
}

TEST(PackedRows, AcceptsATreeBehindAPrefix) {
  const KvBlock prefix = Prefix(3);

  EXPECT_OK(Check(7, {{.begin = 0, .length = 2, .prefix = &prefix},
                      {.begin = 2, .length = 3, .parent = 0},
                      {.begin = 5, .length = 1, .parent = 1},
                      {.begin = 6, .length = 1, .parent = 1}}));
}

TEST(PackedRows, APrefixMayLeaveLayersOutButHasNoneThatTheModelLacks) {
  ModelConfig config = RowsConfig();
  config.num_layers = 3;
  const auto check = [&](int64_t first_layer) {
    const std::vector<at::Tensor> layers(2, at::zeros({2, 3, 4}));
    const KvBlock prefix(layers, layers, first_layer);
    return CheckPackedRows(
        {at::zeros({1, 8}), {{.length = 1, .prefix = &prefix}}}, config);
  };

  EXPECT_OK(check(0));
  EXPECT_OK(check(1));
  EXPECT_THAT(check(2), IsInvalid("segment 0"));
  EXPECT_THAT(check(-1), IsInvalid("segment 0"));
}

TEST(PackedRows, PositionsFollowTheParentChain) {
  const KvBlock prefix = Prefix(3);

  EXPECT_THAT(SegmentPositions({{.begin = 0, .length = 2, .prefix = &prefix},
                                {.begin = 2, .length = 4, .parent = 0},
                                {.begin = 6, .length = 1, .parent = 1},
                                {.begin = 7, .length = 1, .parent = 0},
                                {.begin = 8, .length = 1}}),
              ElementsAre(3, 5, 9, 5, 0));
}

TEST(PackedRows, TheLongestSegmentReachesTheLastPosition) {
  const KvBlock prefix = Prefix(3);

  EXPECT_EQ(NumPositions({{.begin = 0, .length = 2, .prefix = &prefix},
                          {.begin = 2, .length = 4, .parent = 0},
                          {.begin = 6, .length = 7}}),
            9);
}

TEST(PackedRows, RefusesAMatrixOfAnotherWidth) {
  EXPECT_THAT(
      CheckPackedRows({at::zeros({1, 9}), {{.length = 1}}}, RowsConfig()),
      IsInvalid("[rows, 8]"));
  EXPECT_THAT(CheckPackedRows({at::Tensor(), {{.length = 1}}}, RowsConfig()),
              IsInvalid("[rows, 8]"));
}

TEST(PackedRows, RefusesSegmentsThatDoNotTileTheRows) {
  EXPECT_THAT(Check(1, {}), IsInvalid("at least one segment"));
  EXPECT_THAT(Check(3, {{.begin = 0, .length = 2}}), IsInvalid("cover 2 of 3"));
  EXPECT_THAT(Check(2, {{.begin = 0, .length = 3}}),
              IsInvalid("segment 0: ends after row 2"));
  EXPECT_THAT(Check(3, {{.begin = 0, .length = 1}, {.begin = 2, .length = 1}}),
              IsInvalid("segment 1: begins at row 2, not 1"));
  EXPECT_THAT(Check(0, {{.begin = 0, .length = 0}}),
              IsInvalid("segment 0: length 0"));
  EXPECT_THAT(Check(2, {{.begin = 0, .length = INT64_MAX}}),
              IsInvalid("ends after row"));
}

TEST(PackedRows, RefusesParentsThatDoNotComeBefore) {
  for (const int parent : {1, 2, -2}) {
    EXPECT_THAT(Check(2, {{.begin = 0, .length = 1},
                          {.begin = 1, .length = 1, .parent = parent}}),
                IsInvalid("segment 1: parent"))
        << parent;
  }
}

TEST(PackedRows, OnlyRootsNameCaches) {
  const KvBlock prefix = Prefix(1);
  KvSequence sequence;

  EXPECT_THAT(
      Check(2, {{.begin = 0, .length = 1},
                {.begin = 1, .length = 1, .parent = 0, .prefix = &prefix}}),
      IsInvalid("segment 1: only a root"));
  EXPECT_THAT(Check(2, {{.begin = 0, .length = 1, .sequence = &sequence},
                        {.begin = 1, .length = 1, .parent = 0}}),
              IsInvalid("segment 1: its parent is a cached sequence"));
}

TEST(PackedRows, ASequenceOccursOnce) {
  KvSequence sequence;

  EXPECT_THAT(Check(2, {{.begin = 0, .length = 1, .sequence = &sequence},
                        {.begin = 1, .length = 1, .sequence = &sequence}}),
              IsInvalid("segment 1: its sequence occurs twice"));
}

TEST(PackedRows, RefusesAPrefixOfAnotherModel) {
  const KvBlock prefix = Prefix(1, /*kv_heads=*/3);

  EXPECT_THAT(Check(1, {{.begin = 0, .length = 1, .prefix = &prefix}}),
              IsInvalid("another model"));
}

TEST(PackedRows, RefusesASequenceOfAnotherModel) {
  const auto with_layers = [](int64_t num_layers, int64_t head_dim) {
    KvSequence sequence;
    for (int64_t layer = 0; layer < num_layers; ++layer) {
      sequence.Write(layer, at::zeros({2, 1, head_dim}),
                     at::zeros({2, 1, head_dim}));
    }
    sequence.Commit(1);
    return Check(1, {{.begin = 0, .length = 1, .sequence = &sequence}});
  };

  EXPECT_OK(with_layers(1, 4));
  EXPECT_THAT(with_layers(2, 4), IsInvalid("another model"));
  EXPECT_THAT(with_layers(1, 5), IsInvalid("another model"));
}

TEST(PackedRows, CachesAreOfTheDecodersLayers) {
  ModelConfig config = RowsConfig();
  config.num_decoder_layers = 2;

  EXPECT_TRUE(IsBlockOf(Prefix(3), config));
  config.kind = ModelKind::kEncoderDecoder;
  EXPECT_FALSE(IsBlockOf(Prefix(3), config));
  config.num_decoder_layers = 1;
  EXPECT_TRUE(IsBlockOf(Prefix(3), config));
  EXPECT_FALSE(IsBlockOf(Prefix(3, /*kv_heads=*/1), config));
}

TEST(PackedRows, RefusesWantedRowsThatThereAreNot) {
  PackedRows rows = {at::zeros({3, 8}), {{.begin = 0, .length = 3}}};
  rows.wanted = {2, 0, 2};
  EXPECT_OK(CheckPackedRows(rows, RowsConfig()));
  for (int64_t row : {int64_t{-1}, int64_t{3}}) {
    rows.wanted = {0, row};
    EXPECT_THAT(CheckPackedRows(rows, RowsConfig()),
                IsInvalid("is wanted, and there are 3"));
  }
}

TEST(PackedRows, RefusesWhatDoesNotFitTheContext) {
  const KvBlock prefix = Prefix(10);

  EXPECT_OK(Check(6, {{.begin = 0, .length = 6, .prefix = &prefix}}));
  EXPECT_THAT(Check(7, {{.begin = 0, .length = 7, .prefix = &prefix}}),
              AllOf(IsInvalid("reaches position 17"),
                    IsInvalid("beyond the context of 16")));
}

}  // namespace
}  // namespace attune::worker
