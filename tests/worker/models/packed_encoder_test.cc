#include "worker/models/packed_encoder.h"

#include <ATen/ops/tensor.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

// What all encoders do alike; numbers are held against transformers in
// encoders_golden_test.cc.
std::unique_ptr<EncoderModel> TinyEncoder(const std::string& name) {
  const std::string directory = "tests/golden/architectures/" + name;
  auto checkpoint = *Checkpoint::Open(directory);
  return *LoadEncoderModel(*ReadModelConfig(directory), checkpoint,
                           at::Device(at::kCPU), at::kFloat);
}

EncoderRows ThreeRows(const EncoderModel& model) {
  EncoderRows rows;
  rows.embeddings = model.Embed(at::tensor({5, 6, 7}, at::kLong));
  rows.segments = {{.begin = 0, .length = 3}};
  return rows;
}

TEST(PackedEncoder, RefusesSequences) {
  const auto model = TinyEncoder("bert");
  EncoderRows rows = ThreeRows(*model);
  KvSequence sequence;
  rows.segments[0].sequence = &sequence;

  EXPECT_THAT(model->Forward(rows), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("segment 0")));
}

TEST(PackedEncoder, RefusesTypesOfAnotherNumberOfRows) {
  const auto model = TinyEncoder("bert");
  EncoderRows rows = ThreeRows(*model);
  rows.token_types = at::tensor({0, 1}, at::kLong);

  EXPECT_THAT(model->Forward(rows), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("token_types")));
}

TEST(PackedEncoder, RowsOfOtherSegmentsPlayNoPart) {
  const auto model = TinyEncoder("electra");
  const EncoderRows alone = ThreeRows(*model);
  EncoderRows both = alone;
  both.embeddings = model->Embed(at::tensor({5, 6, 7, 8, 9}, at::kLong));
  both.segments.push_back({.begin = 3, .length = 2});

  const auto expected = model->Forward(alone);
  const auto packed = model->Forward(both);

  ASSERT_OK(expected);
  ASSERT_OK(packed);
  EXPECT_LT(RelativeDifference(packed->narrow(0, 0, 3), *expected), 1e-6);
}

TEST(PackedEncoder, ABareModelHasNoLogits) {
  const auto model = TinyEncoder("bert");

  EXPECT_THAT(
      model->HeadLogits(RandomTensor({1, 24}, 1)),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no head")));
}

}  // namespace
}  // namespace attune::worker
