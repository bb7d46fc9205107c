#include "worker/tuning/prompt_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;
using attune::v1::TuningMethod;

constexpr int64_t kLstmLayers = 2;
constexpr double kLayerNormEpsilon = 1e-5;
// Scale of a projection's input, in which its tanh is nearly straight.
constexpr double kCodeScale = 0.1;

// The trained input of a projection, [length, kv_heads * head_dim].
constexpr std::string_view kCodes = "encoder.codes";

std::string EncoderName(std::string_view layer, std::string_view what) {
  return Concat(kEncoderPrefix, layer, ".", what);
}

// The names of the LSTM's parameters in the order in which at::lstm takes them:
// of each layer both directions, of each the weights of input and state, then
// their biases.
std::vector<std::string> LstmNames() {
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < kLstmLayers; ++layer) {
    for (const char* direction : {"", "_reverse"}) {
      for (const char* part :
           {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
        names.push_back(
            EncoderName("lstm", Concat(part, "_l", layer, direction)));
      }
    }
  }
  return names;
}

// Numbers even between -bound and bound.
at::Tensor UniformTensor(std::vector<int64_t> shape, double bound,
                         SeededRandom& random) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* next = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    next[i] = static_cast<float>(bound * (2 * random.Uniform() - 1));
  }
  return tensor;
}

void AddLinear(std::string_view layer, int64_t inputs, int64_t outputs,
               SeededRandom& random, TensorMap& parameters) {
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  parameters[EncoderName(layer, "weight")] =
      UniformTensor({outputs, inputs}, bound, random);
  parameters[EncoderName(layer, "bias")] =
      UniformTensor({outputs}, bound, random);
}

void AddZeroLinear(std::string_view layer, int64_t inputs, int64_t outputs,
                   TensorMap& parameters) {
  parameters[EncoderName(layer, "weight")] =
      at::zeros({outputs, inputs}, at::kFloat);
  parameters[EncoderName(layer, "bias")] = at::zeros({outputs}, at::kFloat);
}

void AddLstm(int64_t inputs, int64_t hidden, SeededRandom& random,
             TensorMap& parameters) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  for (const std::string& name : LstmNames()) {
    const bool first_layer = name.find("_l0") != std::string::npos;
    std::vector<int64_t> shape = {4 * hidden};  // the four gates
    if (name.find("weight_ih") != std::string::npos) {
      shape.push_back(first_layer ? inputs : 2 * hidden);
    } else if (name.find("weight_hh") != std::string::npos) {
      shape.push_back(hidden);
    }
    parameters[name] = UniformTensor(shape, bound, random);
  }
}

// x: [n, inputs] -> [n, outputs]
at::Tensor RunLinear(std::string_view layer, const at::Tensor& x,
                     const TensorMap& values) {
  return at::linear(x, values.at(EncoderName(layer, "weight")),
                    values.at(EncoderName(layer, "bias")));
}

// rows: [length, width] -> [length, 2 * hidden]
at::Tensor RunLstm(const at::Tensor& rows, int64_t hidden,
                   const TensorMap& values) {
  std::vector<at::Tensor> parameters;
  for (const std::string& name : LstmNames()) {
    parameters.push_back(values.at(name));
  }
  const at::Tensor state =
      at::zeros({2 * kLstmLayers, 1, hidden}, rows.options());
  const auto [output, last_hidden, last_cell] =
      at::lstm(rows.unsqueeze(0), {state, state}, parameters,
               /*has_biases=*/true, kLstmLayers, /*dropout=*/0,
               /*train=*/at::GradMode::is_enabled(), /*bidirectional=*/true,
               /*batch_first=*/true);
  return output.squeeze(0);
}

}  // namespace

std::optional<PromptEncoder> PromptEncoder::Of(const TuningMethod& method) {
  if (method.has_prefix_tuning()) {
    const attune::v1::PrefixTuning& prefix = method.prefix_tuning();
    if (!prefix.projection()) return std::nullopt;
    return PromptEncoder(Kind::kProjection, prefix.encoder_hidden_size());
  }
  const int64_t hidden = method.prompt_tuning().encoder_hidden_size();
  switch (method.prompt_tuning().reparameterisation()) {
    case PromptTuning::REPARAMETERISATION_MLP:
      return PromptEncoder(Kind::kMlp, hidden);
    case PromptTuning::REPARAMETERISATION_LSTM:
      return PromptEncoder(Kind::kLstm, hidden);
    case PromptTuning::REPARAMETERISATION_RESIDUAL_MLP:
      return PromptEncoder(Kind::kResidualMlp, hidden);
    default:
      return std::nullopt;
  }
}

TensorMap PromptEncoder::MakeParameters(const TensorMap& front,
                                        SeededRandom& random) const {
  TensorMap parameters;
  if (kind_ == Kind::kProjection) {
    const at::Tensor& keys = front.at(std::string(kPrefixKeysValue));
    const int64_t width = keys.size(1) * keys.size(3);
    at::Tensor codes = at::empty({keys.size(2), width}, at::kFloat);
    float* next = codes.mutable_data_ptr<float>();
    for (int64_t i = 0; i < codes.numel(); ++i) {
      next[i] = static_cast<float>(kCodeScale * random.Normal());
    }
    parameters[std::string(kCodes)] = codes;
    AddLinear("first", width, hidden_, random, parameters);
    AddZeroLinear("last", hidden_, keys.size(0) * 2 * width, parameters);
    return parameters;
  }
  const int64_t width = PromptOf(front).size(1);
  switch (kind_) {
    case Kind::kMlp:
      AddLinear("first", width, hidden_, random, parameters);
      AddLinear("second", hidden_, hidden_, random, parameters);
      AddZeroLinear("last", hidden_, width, parameters);
      break;
    case Kind::kLstm:
      AddLstm(width, hidden_, random, parameters);
      AddLinear("first", 2 * hidden_, 2 * hidden_, random, parameters);
      AddZeroLinear("last", 2 * hidden_, width, parameters);
      break;
    default:
      AddLinear("down", width, hidden_, random, parameters);
      AddLinear("up", hidden_, width, random, parameters);
      parameters[EncoderName("norm", "weight")] =
          at::zeros({width}, at::kFloat);
      parameters[EncoderName("norm", "bias")] = at::zeros({width}, at::kFloat);
  }
  return parameters;
}

at::Tensor PromptEncoder::Run(const at::Tensor& rows,
                              const TensorMap& values) const {
  switch (kind_) {
    case Kind::kMlp: {
      const at::Tensor first = at::relu(RunLinear("first", rows, values));
      const at::Tensor second = at::relu(RunLinear("second", first, values));
      return RunLinear("last", second, values);
    }
    case Kind::kLstm: {
      const at::Tensor states = RunLstm(rows, hidden_, values);
      const at::Tensor first = at::relu(RunLinear("first", states, values));
      return RunLinear("last", first, values);
    }
    case Kind::kResidualMlp: {
      const at::Tensor down = at::relu(RunLinear("down", rows, values));
      return at::layer_norm(RunLinear("up", down, values), {rows.size(1)},
                            values.at(EncoderName("norm", "weight")),
                            values.at(EncoderName("norm", "bias")),
                            kLayerNormEpsilon);
    }
    case Kind::kProjection:
      break;
  }
  const at::Tensor first = at::tanh(RunLinear("first", rows, values));
  return RunLinear("last", first, values);
}

TensorMap PromptEncoder::Apply(const TensorMap& values) const {
  if (kind_ != Kind::kProjection) {
    const at::Tensor& rows = PromptOf(values);
    return {{std::string(kPromptValue), rows + Run(rows, values)}};
  }
  const std::string keys_name(kPrefixKeysValue);
  const std::string values_name(kPrefixValuesValue);
  const at::Tensor& keys = values.at(keys_name);
  // [length, layers * 2 * kv_heads * head_dim], as PEFT lays it out ->
  // [2, layers, kv_heads, length, head_dim]
  const at::Tensor added =
      Run(values.at(std::string(kCodes)), values)
          .view({keys.size(2), keys.size(0), 2, keys.size(1), keys.size(3)})
          .permute({2, 1, 3, 0, 4});
  return {{keys_name, (keys + added.select(0, 0)).contiguous()},
          {values_name,
           (values.at(values_name) + added.select(0, 1)).contiguous()}};
}

}  // namespace attune::worker
