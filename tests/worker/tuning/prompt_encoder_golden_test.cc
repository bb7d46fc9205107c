#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "worker/tuning/prompt_encoder.h"

// The networks with the weights of PEFT's encoders of a prompt, held against
// what those make of them.
namespace attune::worker {
namespace {

using ::attune::v1::PromptTuning;
using ::attune::v1::TuningMethod;

// As tests/golden/make_prompt_encoders_golden.py has them.
constexpr int64_t kGoldenRows = 5;
constexpr int64_t kGoldenHeads = 2;
constexpr int64_t kGoldenHeadDim = 3;
constexpr int64_t kGoldenHidden = 4;
constexpr int64_t kGoldenLayers = 3;

const Safetensors& PeftEncoders() {
  static const auto* golden = new Safetensors(
      *Safetensors::Open("tests/golden/prompt_encoders.safetensors"));
  return *golden;
}

struct GoldenEncoder {
  std::string name;
  TuningMethod method;
  // What PEFT calls the beginnings of names that we have, longest first.
  std::vector<std::pair<std::string, std::string>> names;
};

TuningMethod PromptThrough(PromptTuning::Reparameterisation kind) {
  TuningMethod method;
  method.mutable_prompt_tuning()->set_num_virtual_tokens(kGoldenRows);
  method.mutable_prompt_tuning()->set_reparameterisation(kind);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(kGoldenHidden);
  return method;
}

std::vector<GoldenEncoder> GoldenEncoders() {
  TuningMethod projection;
  projection.mutable_prefix_tuning()->set_num_virtual_tokens(kGoldenRows);
  projection.mutable_prefix_tuning()->set_projection(true);
  projection.mutable_prefix_tuning()->set_encoder_hidden_size(kGoldenHidden);
  return {{"mlp",
           PromptThrough(PromptTuning::REPARAMETERISATION_MLP),
           {{"embedding.weight", "prompt"},
            {"mlp_head.0.", "encoder.first."},
            {"mlp_head.2.", "encoder.second."},
            {"mlp_head.4.", "encoder.last."}}},
          {"lstm",
           PromptThrough(PromptTuning::REPARAMETERISATION_LSTM),
           {{"embedding.weight", "prompt"},
            {"lstm_head.", "encoder.lstm."},
            {"mlp_head.0.", "encoder.first."},
            {"mlp_head.2.", "encoder.last."}}},
          {"projection",
           projection,
           {{"embedding.weight", "encoder.codes"},
            {"transform.0.", "encoder.first."},
            {"transform.2.", "encoder.last."}}}};
}

// PEFT's weights under our names, and PEFT's gradients of them.
struct GoldenValues {
  TensorMap values;
  TensorMap gradients;
};

GoldenValues WeightsOfPeft(const GoldenEncoder& encoder) {
  GoldenValues found;
  const std::string begin = Concat(encoder.name, ".value.");
  for (const auto& [key, entry] : PeftEncoders().entries()) {
    if (!key.starts_with(begin)) continue;
    const std::string peft = key.substr(begin.size());
    for (const auto& [theirs, ours] : encoder.names) {
      if (!peft.starts_with(theirs)) continue;
      const std::string name = ours + peft.substr(theirs.size());
      found.values[name] = *PeftEncoders().Get(key);
      found.gradients[name] =
          *PeftEncoders().Get(Concat(encoder.name, ".gradient.", peft));
    }
  }
  return found;
}

// What the network makes of the values, in the shape of PEFT's output: without
// the rows, or keys and values, that it is added to.
at::Tensor OutputOf(const GoldenEncoder& encoder, TensorMap values) {
  const PromptEncoder network = *PromptEncoder::Of(encoder.method);
  if (!encoder.method.has_prefix_tuning()) {
    return network.Apply(values).at("prompt") - values.at("prompt");
  }
  const at::Tensor zeros = at::zeros(
      {kGoldenLayers, kGoldenHeads, kGoldenRows, kGoldenHeadDim}, at::kFloat);
  values["prefix.keys"] = zeros;
  values["prefix.values"] = zeros;
  const TensorMap made = network.Apply(values);
  // A row of PEFT's is [layers, 2, heads, head_dim].
  return at::stack({made.at("prefix.keys"), made.at("prefix.values")}, 1)
      .permute({3, 0, 1, 2, 4})
      .reshape({kGoldenRows, -1});
}

TEST(PromptEncoderGolden, HasTheWeightsOfPeft) {
  for (const GoldenEncoder& encoder : GoldenEncoders()) {
    size_t theirs = 0;
    for (const auto& [key, entry] : PeftEncoders().entries()) {
      theirs += key.starts_with(encoder.name + ".value.") ? 1 : 0;
    }

    EXPECT_GT(theirs, 4u) << encoder.name;
    EXPECT_EQ(WeightsOfPeft(encoder).values.size(), theirs) << encoder.name;
  }
}

// Both sides add up two dozen fp32 products at most; the rows that are taken
// away again are of order one.
TEST(PromptEncoderGolden, EqualsPeft) {
  for (const GoldenEncoder& encoder : GoldenEncoders()) {
    const at::Tensor output = OutputOf(encoder, WeightsOfPeft(encoder).values);
    const at::Tensor expected = *PeftEncoders().Get(encoder.name + ".output");

    EXPECT_TRUE(output.allclose(expected, 1e-5, 1e-6))
        << encoder.name << ": " << (output - expected).abs().max();
  }
}

TEST(PromptEncoderGolden, HasTheGradientsOfPeft) {
  for (const GoldenEncoder& encoder : GoldenEncoders()) {
    const GoldenValues golden = WeightsOfPeft(encoder);
    TensorMap values;
    std::vector<std::string> names;
    std::vector<at::Tensor> leaves;
    for (const auto& [name, value] : golden.values) {
      values[name] = value.clone().requires_grad_();
      names.push_back(name);
      leaves.push_back(values[name]);
    }

    const std::vector<at::Tensor> gradients = torch::autograd::grad(
        {OutputOf(encoder, values).square().sum()}, leaves);

    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_TRUE(
          gradients[i].allclose(golden.gradients.at(names[i]), 1e-4, 1e-5))
          << encoder.name << " " << names[i];
    }
  }
}

}  // namespace
}  // namespace attune::worker
