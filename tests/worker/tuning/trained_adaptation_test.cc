#include "worker/tuning/trained_adaptation.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/models/parameter_table.h"

namespace attune::worker {
namespace {

using attune::v1::TuningMethod;

TuningMethod ResolvedOn(const std::string& model, TuningMethod method) {
  EXPECT_OK(ResolveAdaptation(*TinyModel(model), method));
  return method;
}

TuningMethod QueryLora() {
  TuningMethod method;
  method.mutable_lora()->set_rank(2);
  method.mutable_lora()->set_alpha(6);
  method.mutable_lora()->add_target_modules("q_proj");
  return ResolvedOn("tiny", method);
}

TEST(TrainedAdaptation, AnAdditionBeginsAsNothing) {
  const TensorMap values = MakeInitialAdaptation(*TinyModel(), QueryLora(), 1);

  ASSERT_EQ(values.size(), 4u);  // two layers
  const at::Tensor& down =
      values.at("lora.model.layers.0.self_attn.q_proj.down");
  const at::Tensor& up = values.at("lora.model.layers.0.self_attn.q_proj.up");
  EXPECT_EQ(up.abs().max().item<float>(), 0);
  // Even noise up to 1 / sqrt(width), as PEFT's.
  const float bound = 1 / std::sqrt(32.0F);
  EXPECT_LE(down.abs().max().item<float>(), bound);
  EXPECT_GT(down.abs().max().item<float>(), 0.8 * bound);
  EXPECT_FALSE(
      down.equal(values.at("lora.model.layers.1.self_attn.q_proj.down")));
  EXPECT_TRUE(down.equal(MakeInitialAdaptation(*TinyModel(), QueryLora(), 1)
                             .at("lora.model.layers.0.self_attn.q_proj.down")));
}

TEST(TrainedAdaptation, ValuesBecomeAnAdaptation) {
  const TuningMethod method = QueryLora();
  TensorMap values = MakeInitialAdaptation(*TinyModel(), method, 1);
  values["head.weight"] = at::Tensor();

  const Adaptation adaptation = AdaptationOf(method, values);

  EXPECT_DOUBLE_EQ(adaptation.low_rank_scale, 3);
  EXPECT_TRUE(adaptation.weights.empty());
  ASSERT_EQ(adaptation.low_rank.size(), 2u);
  EXPECT_TRUE(
      adaptation.low_rank.at("model.layers.1.self_attn.q_proj")
          .up.equal(values.at("lora.model.layers.1.self_attn.q_proj.up")));
  EXPECT_EQ(adaptation.dropout, 0);
}

TEST(TrainedAdaptation, TopLayersBeginAsTheModelsOwn) {
  TuningMethod method;
  method.mutable_top_layers()->set_num_layers(1);
  const TensorMap values =
      MakeInitialAdaptation(*TinyModel(), ResolvedOn("tiny", method), 1);

  ASSERT_FALSE(values.empty());
  for (const auto& [name, value] : values) {
    EXPECT_TRUE(name.starts_with("weights.model.layers.1.")) << name;
    EXPECT_TRUE(value.equal(TinyModel()->model->parameters().Value(
        name.substr(std::string("weights.").size()))))
        << name;
  }
}

TEST(TrainedAdaptation, OfAnEncoderDecoderTheDecodersLayersAreTheTop) {
  TuningMethod method;
  method.mutable_top_layers();
  const TensorMap values =
      MakeInitialAdaptation(*TinyModel("t5"), ResolvedOn("t5", method), 1);

  ASSERT_FALSE(values.empty());
  for (const auto& [name, value] : values) {
    EXPECT_TRUE(name.starts_with("weights.decoder.block.")) << name;
    EXPECT_EQ(name.find("relative_attention_bias"), name.npos) << name;
  }
}

TEST(TrainedAdaptation, OtherMethodsTrainNothingOfTheModel) {
  TuningMethod method;
  method.mutable_prompt_tuning();

  EXPECT_FALSE(AdaptsModel(method));
  EXPECT_TRUE(MakeInitialAdaptation(*TinyModel(), method, 1).empty());
  EXPECT_OK(ResolveAdaptation(*TinyModel(), method));
}

}  // namespace
}  // namespace attune::worker
