#include "worker/models/decoder_rows.h"

#include <ATen/ops/zeros.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMemoryRows = 6;

ModelConfig PairConfig() {
  ModelConfig config;
  config.kind = ModelKind::kEncoderDecoder;
  config.embedding_dim = 8;
  config.dim = 8;
  config.num_layers = 3;
  config.num_decoder_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 2;
  config.head_dim = 4;
  config.context_length = 16;
  return config;
}

KvBlock MemoryBlock(int64_t length, size_t layers = 1) {
  const std::vector<at::Tensor> tensors(layers, at::zeros({2, length, 4}));
  return KvBlock(tensors, tensors);
}

// Two outputs, the second in two segments.
absl::Status CheckThree(std::vector<DecoderMemory> memories) {
  DecoderRows rows;
  rows.rows.embeddings = at::zeros({5, 8});
  rows.rows.segments = {{.begin = 0, .length = 2},
                        {.begin = 2, .length = 2},
                        {.begin = 4, .length = 1, .parent = 1}};
  rows.memories = std::move(memories);
  rows.memory = at::zeros({kMemoryRows, 8});
  return CheckDecoderRows(rows, PairConfig());
}

auto IsRefused(const std::string& what) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
}

TEST(DecoderRows, AcceptsRowsBesideACachedMemory) {
  const KvBlock cached = MemoryBlock(4);

  EXPECT_OK(CheckThree(
      {{.begin = 0, .length = 6}, {.cached = &cached}, {.cached = &cached}}));
}

TEST(DecoderRows, NeedsAMemoryPerSegment) {
  EXPECT_THAT(CheckThree({{.begin = 0, .length = 6}}),
              IsRefused("1 memories for 3 segments"));
}

TEST(DecoderRows, AChildHasTheMemoryOfItsParent) {
  EXPECT_THAT(CheckThree({{.begin = 0, .length = 2},
                          {.begin = 2, .length = 4},
                          {.begin = 0, .length = 2}}),
              IsRefused("segment 2: its memory is not that of its parent"));
}

TEST(DecoderRows, RefusesMemoryOutsideTheRows) {
  for (const auto& [begin, length] : std::vector<std::pair<int64_t, int64_t>>{
           {3, 4}, {-1, 2}, {7, 1}, {INT64_MAX, 1}, {1, INT64_MAX}}) {
    const DecoderMemory memory = {.begin = begin, .length = length};
    EXPECT_THAT(CheckThree({memory, memory, memory}),
                IsRefused("segment 0: its memory begins at row"))
        << begin;
  }
  EXPECT_THAT(CheckThree({{}, {}, {}}), IsRefused("is empty"));
}

TEST(DecoderRows, ACachedMemoryHasALayerPerLayerOfTheDecoder) {
  const KvBlock encoder_like = MemoryBlock(4, /*layers=*/3);
  const DecoderMemory memory = {.cached = &encoder_like};

  EXPECT_THAT(CheckThree({memory, memory, memory}),
              IsRefused("made by another model"));
}

TEST(DecoderRows, APrefixHasALayerPerLayerOfTheDecoder) {
  const KvBlock fits = MemoryBlock(2);
  const KvBlock encoder_like = MemoryBlock(2, /*layers=*/3);
  DecoderRows rows;
  rows.rows.embeddings = at::zeros({1, 8});
  rows.rows.segments = {{.begin = 0, .length = 1, .prefix = &fits}};
  rows.memories = {{.begin = 0, .length = 1}};
  rows.memory = at::zeros({1, 8});

  EXPECT_OK(CheckDecoderRows(rows, PairConfig()));
  rows.rows.segments[0].prefix = &encoder_like;
  EXPECT_THAT(CheckDecoderRows(rows, PairConfig()),
              IsRefused("its prefix was made by another model"));
}

TEST(DecoderRows, RefusesMemoryOfAnotherWidth) {
  DecoderRows rows;
  rows.rows.embeddings = at::zeros({1, 8});
  rows.rows.segments = {{.begin = 0, .length = 1}};
  rows.memories = {{.begin = 0, .length = 1}};
  rows.memory = at::zeros({1, 9});

  EXPECT_THAT(CheckDecoderRows(rows, PairConfig()), IsRefused("[rows, 8]"));
}

}  // namespace
}  // namespace attune::worker
