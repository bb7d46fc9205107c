#include "worker/models/checkpoint_weights.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

WeightName Named(const std::string& name) { return {name, "model." + name}; }

class CheckpointWeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteBytes(directory_ / "model.safetensors",
               *WriteSafetensors({{"a.weight", RandomTensor({2, 3}, 1)},
                                  {"b.weight", RandomTensor({4, 3}, 2)},
                                  {"t.weight", RandomTensor({3, 2}, 3)},
                                  {"t.bias", RandomTensor({2}, 4)},
                                  {"v", RandomTensor({5}, 5)}}));
    auto checkpoint = Checkpoint::Open(directory_.path());
    ASSERT_OK(checkpoint);
    checkpoint_.emplace(*std::move(checkpoint));
  }

  TempDirectory directory_;
  std::optional<Checkpoint> checkpoint_;
  ParameterTable table_;
};

TEST_F(CheckpointWeightsTest, CopiesAndWritesDownWhereEveryWeightIs) {
  CheckpointWeights weights(*checkpoint_, at::Device(at::kCPU), at::kBFloat16,
                            table_);
  weights.NameBody("model.");
  const LinearLayer merged =
      weights.Layer({{Named("a"), 2}, {Named("b"), 4}}, 3, {.row_order = {}});
  weights.Layer({{Named("t"), 2}}, 3,
                {.bias = true, .transposed = true, .row_order = {}});
  const at::Tensor vector = weights.Vector(Named("v"), 5);

  EXPECT_OK(weights.Finish());
  EXPECT_EQ(table_.body_prefix(), "model.");
  EXPECT_EQ(merged.weight().scalar_type(), at::kBFloat16);
  EXPECT_EQ(vector.scalar_type(), at::kFloat);
  EXPECT_TRUE(
      table_.Value("model.b.weight")
          .equal(RandomTensor({4, 3}, 2).to(at::kBFloat16).to(at::kFloat)));
  EXPECT_TRUE(table_.Value("model.t.bias").equal(RandomTensor({2}, 4)));
  EXPECT_EQ(table_.parameters().at("model.v").stored.data_ptr(),
            vector.data_ptr());
}

TEST_F(CheckpointWeightsTest, NamesWhatIsMissing) {
  CheckpointWeights weights(*checkpoint_, at::Device(at::kCPU), at::kFloat,
                            table_);

  EXPECT_FALSE(
      weights.Layer({{Named("a"), 2}}, 3, {.bias = true, .row_order = {}})
          .weight()
          .defined());
  EXPECT_FALSE(weights.Table(Named("none"), 2, 2).defined());
  EXPECT_THAT(weights.Finish(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("a.bias")));
  EXPECT_FALSE(table_.Contains("model.a.weight"));
}

}  // namespace
}  // namespace attune::worker
