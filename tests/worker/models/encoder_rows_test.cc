#include "worker/models/encoder_rows.h"

#include <ATen/ops/zeros.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

ModelConfig EncoderConfig(ModelKind kind) {
  ModelConfig config;
  config.kind = kind;
  config.embedding_dim = 8;
  config.dim = 8;
  config.num_layers = 1;
  config.num_decoder_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 2;
  config.head_dim = 4;
  config.context_length = 16;
  return config;
}

TEST(EncoderRows, RootsOnly) {
  const ModelConfig config = EncoderConfig(ModelKind::kEncoder);
  EncoderRows rows;
  rows.embeddings = at::zeros({3, 8});
  rows.segments = {{.begin = 0, .length = 2}, {.begin = 2, .length = 1}};

  EXPECT_OK(CheckEncoderRows(rows, config));
  rows.segments[1].parent = 0;
  EXPECT_THAT(CheckEncoderRows(rows, config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("segment 1: an encoder takes roots")));
}

TEST(EncoderRows, ThePrefixOfAnEncoderDecoderIsTheDecoders) {
  const KvBlock prefix({at::zeros({2, 3, 4})}, {at::zeros({2, 3, 4})});
  EncoderRows rows;
  rows.embeddings = at::zeros({2, 8});
  rows.segments = {{.begin = 0, .length = 2, .prefix = &prefix}};

  EXPECT_OK(CheckEncoderRows(rows, EncoderConfig(ModelKind::kEncoder)));
  EXPECT_THAT(
      CheckEncoderRows(rows, EncoderConfig(ModelKind::kEncoderDecoder)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the decoder")));
}

}  // namespace
}  // namespace attune::worker
