#include "worker/models/weight_loader.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/checkpoint.h"
#include "worker/models/checkpoint_weights.h"
#include "worker/models/parameter_table.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class WeightLoaderTest : public testing::Test {
 protected:
  Checkpoint Write(const TensorMap& tensors) {
    WriteBytes(directory_ / "model.safetensors",
               *WriteSafetensors(tensors, {}));
    return *Checkpoint::Open(directory_.path());
  }
  WeightLoader LoaderOf(Checkpoint& checkpoint) {
    sources_.push_back(std::make_unique<CheckpointWeights>(
        checkpoint, at::Device(at::kCPU), at::kFloat, table_));
    return WeightLoader(*sources_.back());
  }

  TempDirectory directory_;
  ParameterTable table_;
  std::vector<std::unique_ptr<CheckpointWeights>> sources_;
  const at::Tensor a_ = RandomTensor({2, 3}, 1);
  const at::Tensor b_ = RandomTensor({4, 3}, 2);
  const at::Tensor bias_a_ = RandomTensor({2}, 3);
  const at::Tensor bias_b_ = RandomTensor({4}, 4);
};

TEST_F(WeightLoaderTest, MergesRowsAndBiases) {
  Checkpoint checkpoint = Write({{"a.weight", a_},
                                 {"a.bias", bias_a_},
                                 {"b.weight", b_},
                                 {"b.bias", bias_b_}});
  WeightLoader weights = LoaderOf(checkpoint);

  const LinearLayer merged = weights.Merged({{"a", 2}, {"b", 4}}, 3, true);

  EXPECT_TRUE(merged.weight().equal(at::cat({a_, b_})));
  EXPECT_TRUE(merged.bias().equal(at::cat({bias_a_, bias_b_})));
  EXPECT_OK(weights.Finish());
}

TEST_F(WeightLoaderTest, ChoosesThePrefixThatIsThere) {
  Checkpoint bare = Write({{"a.weight", a_}});
  WeightLoader of_bare = LoaderOf(bare);
  of_bare.ChoosePrefix({"model.", ""}, "a.weight");
  EXPECT_EQ(of_bare.prefix(), "");

  Checkpoint named = Write({{"model.a.weight", a_}, {"head.weight", b_}});
  WeightLoader of_named = LoaderOf(named);
  of_named.ChoosePrefix({"model.", ""}, "a.weight");
  EXPECT_TRUE(of_named.Linear("a", 2, 3, false).weight().equal(a_));
  EXPECT_TRUE(of_named.Top().Linear("head", 4, 3, false).weight().equal(b_));
  EXPECT_OK(of_named.Finish());
}

TEST_F(WeightLoaderTest, TurnsTransposedMatricesAround) {
  Checkpoint checkpoint =
      Write({{"a.weight", a_}, {"a.bias", RandomTensor({3}, 5)}});
  WeightLoader weights = LoaderOf(checkpoint);

  EXPECT_TRUE(weights.Transposed("a", 3, 2).weight().equal(a_.t()));
}

TEST_F(WeightLoaderTest, PutsRowsIntoTheOrderOfTheLayer) {
  Checkpoint checkpoint = Write({{"b.weight", b_}, {"b.bias", bias_b_}});
  WeightLoader weights = LoaderOf(checkpoint);
  const at::Tensor order = at::tensor(std::vector<int64_t>{2, 0, 3, 1});

  const LinearLayer layer = weights.Reordered("b", 3, true, order);

  EXPECT_TRUE(layer.weight().equal(at::index_select(b_, 0, order)));
  EXPECT_TRUE(layer.bias().equal(at::index_select(bias_b_, 0, order)));
  EXPECT_TRUE(table_.Value("b.weight").equal(b_));
  EXPECT_TRUE(table_.Value("b.bias").equal(bias_b_));
}

TEST_F(WeightLoaderTest, WhatIsMissingIsNamedAtTheEnd) {
  Checkpoint checkpoint = Write({{"a.weight", a_}});
  WeightLoader weights = LoaderOf(checkpoint);

  EXPECT_FALSE(weights.Linear("a", 2, 3, true).weight().defined());
  EXPECT_FALSE(weights.Table("b.weight", 4, 3).defined());
  EXPECT_THAT(weights.Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("a.bias"), HasSubstr("b.weight"))));
}

TEST_F(WeightLoaderTest, TakesTheOldNamesOfNorms) {
  Checkpoint checkpoint =
      Write({{"norm.gamma", bias_a_}, {"norm.beta", bias_a_}});
  WeightLoader weights = LoaderOf(checkpoint);

  weights.Layer("norm", 2, 1e-5);

  EXPECT_OK(weights.Finish());
}

}  // namespace
}  // namespace attune::worker
