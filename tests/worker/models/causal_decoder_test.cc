#include "worker/models/causal_decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

// What all decoders do alike; numbers are held against transformers in
// decoders_golden_test.cc.
class CausalDecoderTest : public testing::Test {
 protected:
  void SetUp() override { model_ = Load("gpt2"); }

  static std::unique_ptr<CausalModel> Load(const std::string& name) {
    const std::string directory = "tests/golden/architectures/" + name;
    auto checkpoint = *Checkpoint::Open(directory);
    return *LoadCausalModel(*ReadModelConfig(directory), checkpoint,
                            at::Device(at::kCPU), at::kFloat);
  }
  at::Tensor Rows(std::vector<int64_t> ids) const {
    return model_->Embed(at::tensor(ids, at::kLong));
  }

  std::unique_ptr<CausalModel> model_;
};

TEST_F(CausalDecoderTest, RefusesRowsOfAnotherWidth) {
  EXPECT_THAT(
      model_->Forward({RandomTensor({3, 31}, 1), {{.begin = 0, .length = 3}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("32")));
}

TEST_F(CausalDecoderTest, RefusesMoreRowsThanTheContext) {
  EXPECT_THAT(model_->Forward(
                  {RandomTensor({49, 32}, 1), {{.begin = 0, .length = 49}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("48")));
}

TEST_F(CausalDecoderTest, ACachedSequenceIsNotDifferentiable) {
  const at::AutoGradMode grad(true);
  KvSequence sequence;

  EXPECT_THAT(
      model_->Forward({Rows({5, 6}).requires_grad_(true),
                       {{.begin = 0, .length = 2, .sequence = &sequence}}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("differentiable")));
  EXPECT_EQ(sequence.length(), 0);
}

TEST_F(CausalDecoderTest, ATiedHeadIsTheTable) {
  // Logits of a row are its products with the rows of the table.
  const at::Tensor hidden = RandomTensor({1, 32}, 1);
  const at::Tensor ids = at::tensor({3, 90}, at::kLong);

  EXPECT_LT(RelativeDifference(model_->LogitsFor(hidden, ids),
                               (Rows({3, 90}) * hidden).sum(1).unsqueeze(0)),
            1e-6);
}

}  // namespace
}  // namespace attune::worker
