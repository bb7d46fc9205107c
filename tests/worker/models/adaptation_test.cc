#include "worker/models/adaptation.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/parameter_table.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

constexpr char kTinyModels[] = "tests/golden/architectures/";

std::unique_ptr<BaseModel> LoadTiny(const std::string& name,
                                    at::ScalarType dtype = at::kFloat) {
  const std::string directory = Concat(kTinyModels, name);
  auto config = ReadModelConfig(directory);
  EXPECT_OK(config);
  auto checkpoint = Checkpoint::Open(directory);
  EXPECT_OK(checkpoint);
  auto model = LoadBaseModel(*config, *checkpoint, at::Device(at::kCPU), dtype);
  EXPECT_OK(model);
  return *std::move(model);
}

at::Tensor TinyIds() {
  return at::tensor(std::vector<int64_t>{5, 9, 2, 7, 3, 8, 4}, at::kLong);
}

at::Tensor RunEncoderDecoder(const EncoderDecoderModel& model) {
  EncoderRows inputs;
  inputs.embeddings = model.Embed(TinyIds());
  inputs.segments = {{.begin = 0, .length = 7}};
  DecoderRows outputs;
  outputs.memory = *model.Encode(inputs);
  outputs.rows.embeddings = model.Embed(TinyIds().narrow(0, 0, 4));
  outputs.rows.segments = {{.begin = 0, .length = 4}};
  outputs.memories = {{.begin = 0, .length = 7}};
  return *model.Decode(outputs);
}

// What the model makes of a fixed text: hidden states, of language models the
// logits.
at::Tensor RunTiny(const BaseModel& model) {
  switch (model.config().kind) {
    case ModelKind::kCausal: {
      PackedRows rows;
      rows.embeddings = model.Embed(TinyIds());
      rows.segments = {{.begin = 0, .length = 7}};
      return AsCausal(model).Logits(*AsCausal(model).Forward(rows));
    }
    case ModelKind::kEncoder: {
      EncoderRows rows;
      rows.embeddings = model.Embed(TinyIds());
      rows.segments = {{.begin = 0, .length = 7}};
      return *AsEncoder(model).Forward(rows);
    }
    case ModelKind::kEncoderDecoder:
      return AsLanguage(model).Logits(
          RunEncoderDecoder(AsEncoderDecoder(model)));
  }
  return at::Tensor();
}

// The linear layers that stand inside the model's layers.
std::vector<std::string> LayerModules(const BaseModel& model) {
  std::vector<std::string> modules;
  for (const std::string& module : model.parameters().Modules()) {
    if (LayerOf(module).has_value()) modules.push_back(module);
  }
  return modules;
}

// Additions of rank 2 to every linear layer of the layers.
Adaptation EveryLowRank(const BaseModel& model) {
  Adaptation adaptation;
  adaptation.low_rank_scale = 0.5;
  uint64_t seed = 100;
  for (const std::string& module : LayerModules(model)) {
    const at::Tensor& weight =
        model.parameters().parameters().at(module + ".weight").stored;
    adaptation.low_rank[module] = {
        .down = RandomTensor({2, weight.size(1)}, seed) * 0.2,
        .up = RandomTensor({weight.size(0), 2}, seed + 1) * 0.2};
    seed += 2;
  }
  return adaptation;
}

// Its weights added to the matrices of the model.
Adaptation Merged(const BaseModel& model, const Adaptation& low_rank) {
  Adaptation merged;
  for (const auto& [module, pair] : low_rank.low_rank) {
    const std::string name = module + ".weight";
    const at::Tensor change =
        at::mm(pair.up, pair.down) * low_rank.low_rank_scale;
    const bool transposed = model.parameters().parameters().at(name).transposed;
    merged.weights[name] =
        model.parameters().Value(name) + (transposed ? change.t() : change);
  }
  return merged;
}

class AdaptationOfEveryModel : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { base_ = LoadTiny(GetParam()); }

  std::unique_ptr<BaseModel> Adapt(const Adaptation& adaptation) {
    auto model = AdaptModel(*base_, adaptation);
    EXPECT_OK(model);
    return *std::move(model);
  }

  std::unique_ptr<BaseModel> base_;
};

TEST_P(AdaptationOfEveryModel, NothingChangedIsTheBaseWithItsMemory) {
  const at::NoGradGuard no_grad;
  const at::Tensor before = RunTiny(*base_);

  const auto model = Adapt(Adaptation());

  EXPECT_TRUE(RunTiny(*model).equal(before));
}

TEST_P(AdaptationOfEveryModel, EveryWeightIsReadInTheShapeOfTheCheckpoint) {
  const at::NoGradGuard no_grad;
  Adaptation same;
  for (const auto& [name, parameter] : base_->parameters().parameters()) {
    same.weights[name] = base_->parameters().Value(name);
  }

  const auto model = Adapt(same);

  EXPECT_TRUE(RunTiny(*model).equal(RunTiny(*base_)));
}

TEST_P(AdaptationOfEveryModel, AdditionsEqualMatricesWithThemAdded) {
  const at::NoGradGuard no_grad;
  const at::Tensor before = RunTiny(*base_);
  const Adaptation low_rank = EveryLowRank(*base_);

  const at::Tensor apart = RunTiny(*Adapt(low_rank));
  const at::Tensor merged = RunTiny(*Adapt(Merged(*base_, low_rank)));

  EXPECT_GT(RelativeDifference(apart, before), 1e-3);
  // Another order of fp32 sums through a few layers.
  EXPECT_LT(RelativeDifference(apart, merged), 1e-5);
  EXPECT_TRUE(RunTiny(*base_).equal(before)) << "the base has changed";
}

TEST_P(AdaptationOfEveryModel, MergedAdditionsAreCopiesOfTheMatrices) {
  const at::NoGradGuard no_grad;
  Adaptation low_rank = EveryLowRank(*base_);
  const at::Tensor apart = RunTiny(*Adapt(low_rank));

  low_rank.merged = true;
  size_t copied = 0;
  const auto model = AdaptModel(*base_, low_rank, &copied);
  ASSERT_OK(model);

  // Another order of fp32 sums through a few layers.
  EXPECT_LT(RelativeDifference(RunTiny(**model), apart), 1e-5);
  size_t targets = 0;
  for (const auto& [module, pair] : low_rank.low_rank) {
    targets +=
        base_->parameters().parameters().at(module + ".weight").stored.nbytes();
  }
  EXPECT_EQ(copied, targets);
  low_rank.merged = false;
  ASSERT_OK(AdaptModel(*base_, low_rank, &copied));
  EXPECT_EQ(copied, 0u);
}

TEST(Adaptation, ALayerOfSeveralPartsIsCopiedWhole) {
  const at::NoGradGuard no_grad;
  const std::unique_ptr<BaseModel> base = LoadTiny("bert");
  Adaptation adaptation = EveryLowRank(*base);
  std::erase_if(adaptation.low_rank, [](const auto& one) {
    return NameInLayer(one.first) != "attention.self.query" ||
           LayerOf(one.first) != 0;
  });
  ASSERT_EQ(adaptation.low_rank.size(), 1u);
  adaptation.merged = true;

  size_t copied = 0;
  ASSERT_OK(AdaptModel(*base, adaptation, &copied));

  const std::string query = adaptation.low_rank.begin()->first + ".weight";
  EXPECT_EQ(copied,
            3 * base->parameters().parameters().at(query).stored.nbytes());
}

TEST(Adaptation, MergedSumsAreRoundedToTheModelsFormat) {
  const at::NoGradGuard no_grad;
  const std::unique_ptr<BaseModel> base = LoadTiny("llama", at::kBFloat16);
  Adaptation low_rank = EveryLowRank(*base);
  const Adaptation matrices = Merged(*base, low_rank);
  low_rank.merged = true;

  const auto merged = AdaptModel(*base, low_rank);
  const auto changed = AdaptModel(*base, matrices);

  ASSERT_OK(merged);
  ASSERT_OK(changed);
  // One fp32 sum of few products, in either order, rounded to 8 bits.
  EXPECT_LT(RelativeDifference(RunTiny(**merged), RunTiny(**changed)), 1e-3);
  EXPECT_GT(RelativeDifference(RunTiny(**merged), RunTiny(*base)), 0.01);
}

// The directional derivative of a random sum of the output, by central
// differences.
TEST_P(AdaptationOfEveryModel, GradientsEqualFiniteDifferences) {
  Adaptation start = EveryLowRank(*base_);
  for (const auto& [name, parameter] : base_->parameters().parameters()) {
    if (name.ends_with("norm.weight") || name.ends_with(".bias")) {
      start.weights[name] = base_->parameters().Value(name);
    }
  }
  const std::string module = LayerModules(*base_).front();
  start.weights[module + ".weight"] =
      base_->parameters().Value(module + ".weight");
  std::vector<at::Tensor*> places;
  for (auto& [name, weight] : start.weights) places.push_back(&weight);
  for (auto& [name, pair] : start.low_rank) {
    places.push_back(&pair.down);
    places.push_back(&pair.up);
  }
  std::vector<at::Tensor> at_start;
  std::vector<at::Tensor> direction;
  uint64_t seed = 500;
  for (at::Tensor* place : places) {
    at_start.push_back(place->clone());
    direction.push_back(RandomTensor(place->sizes().vec(), ++seed));
  }
  at::Tensor mix;
  const auto value_at = [&](double step) {
    for (size_t i = 0; i < places.size(); ++i) {
      *places[i] = at_start[i] + step * direction[i];
    }
    const at::NoGradGuard no_grad;
    const at::Tensor out = RunTiny(*Adapt(start));
    if (!mix.defined()) mix = RandomTensor(out.sizes().vec(), 900);
    return (out * mix).sum(at::kDouble).item<double>();
  };
  const double step = 2e-4;
  const double expected = (value_at(step) - value_at(-step)) / (2 * step);

  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < places.size(); ++i) {
    *places[i] = at_start[i].clone().requires_grad_();
    leaves.push_back(*places[i]);
  }
  const at::AutoGradMode grad_mode(true);
  const auto gradients = torch::autograd::grad(
      {(RunTiny(*Adapt(start)) * mix).sum()}, leaves, /*grad_outputs=*/{},
      /*retain_graph=*/std::nullopt, /*create_graph=*/false,
      /*allow_unused=*/true);
  double derivative = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    derivative += (gradients[i] * direction[i]).sum(at::kDouble).item<double>();
  }

  // fp32 sums over a step of 2e-4, and the kinks of ReLU in between.
  EXPECT_NEAR(derivative, expected, 0.02 * std::max(1.0, std::abs(expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, AdaptationOfEveryModel,
    testing::Values("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2",
                    "gpt_neox", "gpt_neox_serial", "opt", "bert", "roberta_mlm",
                    "distilbert_sequence", "electra", "t5", "mt5"),
    [](const auto& info) { return std::string(info.param); });

TEST(Adaptation, ChangesOfATableReachTheTextAndATiedHead) {
  const auto base = LoadTiny("qwen2");
  ASSERT_TRUE(base->config().tie_embeddings);
  const std::string name = "model.embed_tokens.weight";
  Adaptation adaptation;
  adaptation.weights[name] =
      base->parameters().Value(name).clone().requires_grad_();
  const at::AutoGradMode grad_mode(true);
  auto model = AdaptModel(*base, adaptation);
  ASSERT_OK(model);

  const at::Tensor gradient = torch::autograd::grad(
      {RunTiny(**model).square().sum()}, {adaptation.weights[name]})[0];

  // A token that is not in the text gets its gradient through the head alone.
  EXPECT_GT(gradient[5].norm().item<double>(), 0);
  EXPECT_GT(gradient[0].norm().item<double>(), 0);
}

TEST(Adaptation, LayersBelowTheFirstTrainedOneSaveNothing) {
  const auto base = LoadTiny("llama");
  Adaptation adaptation;
  const std::string name = "model.norm.weight";
  adaptation.weights[name] = base->parameters().Value(name).requires_grad_();
  const at::AutoGradMode grad_mode(true);
  auto model = AdaptModel(*base, adaptation);
  ASSERT_OK(model);
  PackedRows rows;
  rows.embeddings = (*model)->Embed(TinyIds());

  EXPECT_FALSE(rows.embeddings.requires_grad());
}

TEST(Adaptation, DropoutDropsAShareAndKeepsTheMean) {
  const auto base = LoadTiny("llama");
  Adaptation adaptation = EveryLowRank(*base);
  const at::NoGradGuard no_grad;
  const at::Tensor whole = RunTiny(**AdaptModel(*base, adaptation));
  adaptation.dropout = 0.5;
  const auto run = [&](uint64_t seed) {
    adaptation.generator = at::detail::createCPUGenerator(seed);
    return RunTiny(**AdaptModel(*base, adaptation));
  };

  EXPECT_TRUE(run(7).equal(run(7)));
  EXPECT_FALSE(run(7).equal(run(8)));
  EXPECT_GT(RelativeDifference(run(7), whole), 1e-4);
}

TEST(Adaptation, NamesWhatTheModelDoesNotHave) {
  const auto base = LoadTiny("llama");
  Adaptation adaptation;
  adaptation.weights["model.nothing"] = at::zeros({1});
  EXPECT_THAT(AdaptModel(*base, adaptation).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no weight 'model.nothing'")));

  adaptation.weights = {{"model.norm.weight", at::zeros({3})}};
  EXPECT_THAT(AdaptModel(*base, adaptation).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'model.norm.weight' is [3]")));

  adaptation.weights.clear();
  adaptation.low_rank["model.norm"] = {at::zeros({1, 1}), at::zeros({1, 1})};
  EXPECT_THAT(AdaptModel(*base, adaptation).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no linear layer 'model.norm'")));

  adaptation.low_rank = {{"model.layers.0.self_attn.q_proj",
                          {at::zeros({2, 3}), at::zeros({5, 2})}}};
  EXPECT_THAT(
      AdaptModel(*base, adaptation).status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("addition to 'model.layers.0.self_attn.q_pr")));
}

}  // namespace
}  // namespace attune::worker
