#include "worker/tuning/step_front.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tuning/prompt_encoder.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;
using attune::v1::TuningMethod;
using TokenIds = std::vector<int64_t>;

const TokenIds kFirst = {50, 51, 52};
const TokenIds kSecond = {60, 61};
const TokenIds kAnswer = {70, 71, 2};

TuningMethod WithNetwork(PromptTuning::Reparameterisation network) {
  TuningMethod method;
  method.mutable_prompt_tuning()->set_reparameterisation(network);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(4);
  return method;
}

// Three rows and, where the method has one, a network that moves them.
TensorMap PromptValues(const TuningMethod& method) {
  TensorMap values = {{"prompt", TinyPrompt()}};
  const auto encoder = PromptEncoder::Of(method);
  if (!encoder.has_value()) return values;
  SeededRandom random(0, 0);
  values.merge(encoder->MakeParameters(values, random));
  at::manual_seed(3);
  for (auto& [name, value] : values) {
    if (name != "prompt") value = value + at::randn(value.sizes()) * 0.1;
  }
  return values;
}

at::Tensor LossOf(const AttachedPrompt& front,
                  const std::vector<TokenIds>& texts) {
  std::vector<AnswerSample> samples;
  for (const TokenIds& text : texts) {
    samples.push_back({.text = text, .answer = kAnswer});
  }
  return AnswerLoss(TinyCausalModel(), front, samples)->sum;
}

// By autograd's own way from the loss to the values.
TensorMap PlainGradients(const TuningMethod& method, const TensorMap& values) {
  TensorMap leaves;
  std::vector<at::Tensor> inputs;
  for (const auto& [name, value] : values) {
    leaves[name] = value.clone().requires_grad_();
    inputs.push_back(leaves[name]);
  }
  const AttachedPrompt front =
      *FrontOf(*TinyModel(), method, ProduceValues(method, leaves));
  const std::vector<at::Tensor> found =
      torch::autograd::grad({LossOf(front, {kFirst, kSecond})}, inputs);
  TensorMap gradients;
  size_t next = 0;
  for (const auto& [name, value] : values) gradients[name] = found[next++];
  return gradients;
}

void ExpectClose(const TensorMap& ours, const TensorMap& expected) {
  ASSERT_EQ(ours.size(), expected.size());
  for (const auto& [name, gradient] : expected) {
    // The same sums of fp32 numbers in another order.
    EXPECT_TRUE(ours.at(name).allclose(gradient, 1e-4, 1e-5)) << name;
    EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  }
}

class StepFrontTest
    : public testing::TestWithParam<PromptTuning::Reparameterisation> {};

TEST_P(StepFrontTest, PartsAddUpToTheGradientOfTheWhole) {
  const TuningMethod method = WithNetwork(GetParam());
  const TensorMap values = PromptValues(method);
  auto front = StepFront::Create(*TinyModel(), method, values,
                                 /*several_parts=*/true);
  ASSERT_OK(front);

  for (const TokenIds& text : {kFirst, kSecond}) {
    const auto part = front->ForPart(/*dropout_seed=*/0);
    ASSERT_OK(part);
    EXPECT_FALSE(part->rows.defined()) << "the rows' keys and values instead";
    front->AddGradients(LossOf(*part, {text}));
  }

  EXPECT_EQ(front->num_rows(), 3);
  ExpectClose(front->TakeGradients(), PlainGradients(method, values));
}

TEST_P(StepFrontTest, OnePartHasTheRowsInItsBatch) {
  const TuningMethod method = WithNetwork(GetParam());
  const TensorMap values = PromptValues(method);
  auto front = StepFront::Create(*TinyModel(), method, values,
                                 /*several_parts=*/false);
  ASSERT_OK(front);

  const auto part = front->ForPart(/*dropout_seed=*/0);
  ASSERT_OK(part);
  EXPECT_EQ(part->prefix, nullptr);
  front->AddGradients(LossOf(*part, {kFirst, kSecond}));

  EXPECT_EQ(front->num_rows(), 0);
  ExpectClose(front->TakeGradients(), PlainGradients(method, values));
}

INSTANTIATE_TEST_SUITE_P(
    Networks, StepFrontTest,
    testing::Values(PromptTuning::REPARAMETERISATION_NONE,
                    PromptTuning::REPARAMETERISATION_MLP,
                    PromptTuning::REPARAMETERISATION_LSTM,
                    PromptTuning::REPARAMETERISATION_RESIDUAL_MLP),
    [](const auto& info) {
      const std::string name =
          PromptTuning::Reparameterisation_Name(info.param);
      return name.substr(std::string("REPARAMETERISATION_").size());
    });

TEST(StepFront, WhatReadsTheTextRunsInEveryPart) {
  const TensorMap values = {{"prompt", TinyPrompt()},
                            {"head.weight", at::ones({3, 32})},
                            {"head.bias", at::zeros({3})}};
  const auto model = TinyModel("encoder");
  auto front = StepFront::Create(*model, {}, values, /*several_parts=*/true);
  ASSERT_OK(front);

  for (const TokenIds& text : {kFirst, kSecond}) {
    const auto part = front->ForPart(/*dropout_seed=*/0);
    ASSERT_OK(part);
    EXPECT_TRUE(part->rows.equal(TinyPrompt()));
    const auto loss =
        HeadLoss(model->encoder(), *part, std::vector<HeadSample>{{text, 1}});
    ASSERT_OK(loss);
    front->AddGradients(loss->sum);
  }

  EXPECT_EQ(front->num_rows(), 0);
  const TensorMap gradients = front->TakeGradients();
  // A softmax over three alike, twice, of which the second is right.
  EXPECT_TRUE(
      gradients.at("head.bias")
          .allclose(at::full({3}, 2.0 / 3) - at::tensor({0.0f, 2.0f, 0.0f})));
}

TEST(StepFront, WhatNoLossDependsOnHasZeros) {
  auto front = StepFront::Create(*TinyModel(), {},
                                 {{"prompt", TinyPrompt()},
                                  {"head.weight", at::ones({3, 32})},
                                  {"head.bias", at::ones({3})}},
                                 /*several_parts=*/true);
  ASSERT_OK(front);

  front->AddGradients(LossOf(*front->ForPart(/*dropout_seed=*/0), {kFirst}));
  const TensorMap gradients = front->TakeGradients();

  EXPECT_TRUE(gradients.at("head.weight").equal(at::zeros({3, 32})));
  EXPECT_GT(gradients.at("prompt").abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace attune::worker
