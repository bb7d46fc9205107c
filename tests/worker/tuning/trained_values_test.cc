#include "worker/tuning/trained_values.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tuning/prompt_encoder.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {
namespace {

using attune::v1::TuningMethod;

TEST(TrainedValues, APromptAloneWhereWordsScore) {
  const auto program = CompileTask(LabelTask({"yes", "no"}), 2);

  const TensorMap values =
      MakeInitialValues(*program, {{"prompt", at::ones({2, 32})}});

  EXPECT_EQ(values.size(), 1u);
  EXPECT_TRUE(PromptOf(values).equal(at::ones({2, 32})));
  EXPECT_FALSE(HeadOf(values).defined());
  const auto attached = AttachValues(*TinyModel(), {}, values);
  ASSERT_OK(attached);
  ASSERT_NE(attached->prefix, nullptr);
  EXPECT_EQ(attached->length(), 2);
}

TEST(TrainedValues, AHeadOfZerosWhereAHeadScores) {
  const auto program =
      TaskProgram::Compile(LabelTask({"a", "b", "c"}), TinyModel("encoder"), 2);
  ASSERT_OK(program);

  const TensorMap values =
      MakeInitialValues(**program, {{"prompt", at::ones({2, 32})}});

  EXPECT_TRUE(HeadOf(values).weight.equal(at::zeros({3, 32})));
  EXPECT_TRUE(HeadOf(values).bias.equal(at::zeros({3})));
  const auto attached = AttachValues(*TinyModel("encoder"), {}, values);
  ASSERT_OK(attached);
  EXPECT_EQ(attached->prefix, nullptr);
  EXPECT_EQ(attached->head.num_labels(), 3);
}

TEST(TrainedValues, APrefixIsServedAsItIs) {
  const at::Tensor keys = at::ones({2, 2, 3, 8});
  const TensorMap values = {{"prefix.keys", keys}, {"prefix.values", 2 * keys}};

  const auto attached = AttachValues(*TinyModel(), {}, values);

  EXPECT_TRUE(HasPrefix(values));
  ASSERT_OK(attached);
  EXPECT_EQ(attached->length(), 3);
  EXPECT_TRUE(attached->prefix->keys(1).equal(keys[1]));
  EXPECT_TRUE(attached->prefix->values(0).equal(2 * keys[0]));
}

TEST(TrainedValues, APrefixTakesPartInGradients) {
  TensorMap values;
  values["prefix.keys"] = at::ones({2, 2, 3, 8}).requires_grad_();
  values["prefix.values"] = at::ones({2, 2, 3, 8}).requires_grad_();

  const auto front = FrontOf(*TinyModel(), {}, values);

  ASSERT_OK(front);
  ASSERT_NE(front->prefix, nullptr);
  EXPECT_TRUE(front->prefix->requires_grad());
  EXPECT_FALSE(front->rows.defined());
}

TEST(TrainedValues, WeightsMakeAModelOfTheirOwn) {
  TuningMethod method;
  method.mutable_top_layers()->set_num_layers(1);
  const TensorMap values =
      MakeInitialAdaptation(*TinyModel(), method, /*seed=*/1);

  const auto attached = AttachValues(*TinyModel(), method, values);

  ASSERT_OK(attached);
  ASSERT_NE(attached->adapted, nullptr);
  EXPECT_EQ(attached->length(), 0);
  EXPECT_GT(attached->num_bytes(), 0u);
}

TEST(TrainedValues, NothingButAHeadIsTheBaseWithIt) {
  TuningMethod method;
  method.mutable_head();
  const TensorMap values = {{"head.weight", at::ones({2, 32})},
                            {"head.bias", at::ones({2})}};

  const auto attached = AttachValues(*TinyModel("encoder"), method, values);

  ASSERT_OK(attached);
  EXPECT_EQ(attached->adapted, nullptr);
  EXPECT_FALSE(attached->rows.defined());
  EXPECT_EQ(attached->head.num_labels(), 2);
}

attune::v1::TuningMethod Mlp() {
  attune::v1::TuningMethod method;
  method.mutable_prompt_tuning()->set_reparameterisation(
      attune::v1::PromptTuning::REPARAMETERISATION_MLP);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(4);
  return method;
}

// A prompt of two rows of ones, a network whose last layer adds 0.5 and a head.
TensorMap ValuesWithNetwork() {
  TensorMap values = {{"prompt", at::ones({2, 32})},
                      {"head.weight", at::ones({3, 32})},
                      {"head.bias", at::ones({3})}};
  SeededRandom random(0, 0);
  values.merge(PromptEncoder::Of(Mlp())->MakeParameters(values, random));
  values["encoder.last.bias"] = at::full({32}, 0.5);
  return values;
}

TEST(TrainedValues, ANetworkIsFoldedIntoPlainRows) {
  const TensorMap values = ValuesWithNetwork();

  const TensorMap folded = FoldValues(Mlp(), values);

  EXPECT_EQ(folded.size(), 3u);
  EXPECT_TRUE(PromptOf(folded).equal(at::full({2, 32}, 1.5)));
  EXPECT_TRUE(HeadOf(folded).weight.equal(at::ones({3, 32})));
  EXPECT_TRUE(PromptOf(values).equal(at::ones({2, 32}))) << "left as it was";
}

TEST(TrainedValues, FoldingAFoldedPromptWithoutANetworkChangesNothing) {
  const TensorMap folded = FoldValues(Mlp(), ValuesWithNetwork());

  EXPECT_TRUE(PromptOf(FoldValues({}, folded)).equal(PromptOf(folded)));
}

TEST(TrainedValues, WhatIsServedIsFolded) {
  const auto attached =
      AttachValues(*TinyModel("encoder"), Mlp(), ValuesWithNetwork());

  ASSERT_OK(attached);
  EXPECT_TRUE(attached->rows.equal(at::full({2, 32}, 1.5)));
  EXPECT_EQ(attached->head.num_labels(), 3);
}

TEST(TrainedValues, GradientsReachTheNetworkThroughTheRows) {
  TensorMap values = ValuesWithNetwork();
  for (auto& [name, value] : values) value.requires_grad_();

  const auto front = FrontOf(*TinyModel(), Mlp(), ProduceValues(Mlp(), values));

  ASSERT_OK(front);
  EXPECT_TRUE(front->rows.equal(at::full({2, 32}, 1.5)));
  const auto gradients = torch::autograd::grad(
      {front->rows.sum()},
      {values.at("prompt"), values.at("encoder.last.bias")});
  // Each number of the bias is in both rows; the table's own way is straight
  // while the last weights are zeros.
  EXPECT_TRUE(gradients[0].equal(at::ones({2, 32})));
  EXPECT_TRUE(gradients[1].equal(at::full({32}, 2.0)));
}

}  // namespace
}  // namespace attune::worker
