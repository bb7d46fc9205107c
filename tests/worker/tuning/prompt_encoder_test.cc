#include "worker/tuning/prompt_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

using ::attune::v1::PromptTuning;
using ::attune::v1::TuningMethod;

constexpr int kLength = 5;
constexpr int kWidth = 6;
constexpr int kHidden = 4;

// Sums of at most two dozen fp32 products of order one.
constexpr double kTolerance = 1e-5;

// The plain reference: rows of doubles.
using Matrix = std::vector<std::vector<double>>;

at::Tensor NormalTensor(at::IntArrayRef shape, SeededRandom& random) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.mutable_data_ptr<float>()[i] =
        static_cast<float>(0.5 * random.Normal());
  }
  return tensor;
}

Matrix ToMatrix(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.reshape({tensor.size(0), -1}).contiguous();
  Matrix rows;
  for (int64_t i = 0; i < flat.size(0); ++i) {
    const float* begin = flat.const_data_ptr<float>() + i * flat.size(1);
    rows.emplace_back(begin, begin + flat.size(1));
  }
  return rows;
}

void ExpectNear(const at::Tensor& actual, const Matrix& expected) {
  const Matrix rows = ToMatrix(actual);
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), expected[i].size());
    for (size_t j = 0; j < rows[i].size(); ++j) {
      EXPECT_NEAR(rows[i][j], expected[i][j], kTolerance) << i << ", " << j;
    }
  }
}

// x * weight^T + bias, by the names of a layer or of its two parts.
Matrix Linear(const Matrix& x, const TensorMap& values,
              const std::string& weight_name, const std::string& bias_name) {
  const Matrix weight = ToMatrix(values.at(weight_name));
  const Matrix bias = ToMatrix(values.at(bias_name));
  Matrix out;
  for (const std::vector<double>& row : x) {
    out.emplace_back();
    for (size_t j = 0; j < weight.size(); ++j) {
      double sum = bias[j][0];
      for (size_t k = 0; k < row.size(); ++k) sum += weight[j][k] * row[k];
      out.back().push_back(sum);
    }
  }
  return out;
}

Matrix Layer(const Matrix& x, const TensorMap& values,
             const std::string& layer) {
  return Linear(x, values, "encoder." + layer + ".weight",
                "encoder." + layer + ".bias");
}

template <typename Function>
Matrix Each(Matrix x, Function function) {
  for (auto& row : x) {
    for (double& value : row) value = function(value);
  }
  return x;
}

Matrix Relu(const Matrix& x) {
  return Each(x, [](double v) { return std::max(v, 0.0); });
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Matrix Plus(Matrix a, const Matrix& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[i].size(); ++j) a[i][j] += b[i][j];
  }
  return a;
}

// One direction of one layer (Hochreiter and Schmidhuber 1997, with the forget
// gate of Gers et al. 2000); gates in the order input, forget, cell, output.
Matrix LstmDirection(const Matrix& x, const TensorMap& values,
                     const std::string& ending, bool backwards) {
  const std::string name = "encoder.lstm.";
  std::vector<double> state(kHidden, 0);
  std::vector<double> cell(kHidden, 0);
  Matrix out(x.size());
  for (size_t step = 0; step < x.size(); ++step) {
    const size_t at = backwards ? x.size() - 1 - step : step;
    const Matrix gates =
        Plus(Linear({x[at]}, values, name + "weight_ih" + ending,
                    name + "bias_ih" + ending),
             Linear({state}, values, name + "weight_hh" + ending,
                    name + "bias_hh" + ending));
    const std::vector<double>& gate = gates[0];
    for (int i = 0; i < kHidden; ++i) {
      cell[i] = Sigmoid(gate[kHidden + i]) * cell[i] +
                Sigmoid(gate[i]) * std::tanh(gate[2 * kHidden + i]);
      state[i] = Sigmoid(gate[3 * kHidden + i]) * std::tanh(cell[i]);
    }
    out[at] = state;
  }
  return out;
}

Matrix Lstm(Matrix x, const TensorMap& values) {
  for (const std::string layer : {"_l0", "_l1"}) {
    Matrix both = LstmDirection(x, values, layer, /*backwards=*/false);
    const Matrix back =
        LstmDirection(x, values, layer + "_reverse", /*backwards=*/true);
    for (size_t i = 0; i < both.size(); ++i) {
      both[i].insert(both[i].end(), back[i].begin(), back[i].end());
    }
    x = both;
  }
  return x;
}

// The mean and deviation of each row taken out of it.
Matrix Normalised(Matrix x) {
  for (auto& row : x) {
    double mean = 0;
    for (double value : row) mean += value / static_cast<double>(row.size());
    double variance = 0;
    for (double value : row) {
      variance +=
          (value - mean) * (value - mean) / static_cast<double>(row.size());
    }
    for (double& value : row) {
      value = (value - mean) / std::sqrt(variance + 1e-5);
    }
  }
  return x;
}

TuningMethod Prompt(PromptTuning::Reparameterisation kind) {
  TuningMethod method;
  method.mutable_prompt_tuning()->set_reparameterisation(kind);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(kHidden);
  return method;
}

TuningMethod Projection() {
  TuningMethod method;
  method.mutable_prefix_tuning()->set_projection(true);
  method.mutable_prefix_tuning()->set_encoder_hidden_size(kHidden);
  return method;
}

// 3 layers of 2 heads of 3.
TensorMap Front(const TuningMethod& method) {
  SeededRandom random(1, 0);
  if (method.has_prompt_tuning()) {
    return {{"prompt", NormalTensor({kLength, kWidth}, random)}};
  }
  return {{"prefix.keys", NormalTensor({3, 2, kLength, 3}, random)},
          {"prefix.values", NormalTensor({3, 2, kLength, 3}, random)}};
}

// Front and parameters to begin with.
TensorMap Begin(const TuningMethod& method, uint64_t seed = 0) {
  SeededRandom random(seed, 0);
  TensorMap values = Front(method);
  values.merge(PromptEncoder::Of(method)->MakeParameters(values, random));
  return values;
}

// The same with no parameter zero.
TensorMap Amid(const TuningMethod& method) {
  SeededRandom random(7, 0);
  TensorMap values = Begin(method);
  for (auto& [name, value] : values) {
    value = NormalTensor(value.sizes(), random);
  }
  return values;
}

std::vector<TuningMethod> AllNetworks() {
  return {Prompt(PromptTuning::REPARAMETERISATION_MLP),
          Prompt(PromptTuning::REPARAMETERISATION_LSTM),
          Prompt(PromptTuning::REPARAMETERISATION_RESIDUAL_MLP), Projection()};
}

TEST(PromptEncoder, ThereIsNoneWhereNothingHelps) {
  EXPECT_FALSE(PromptEncoder::Of(TuningMethod()).has_value());
  EXPECT_FALSE(PromptEncoder::Of(Prompt(PromptTuning::REPARAMETERISATION_NONE))
                   .has_value());
  TuningMethod prefix;
  prefix.mutable_prefix_tuning();
  EXPECT_FALSE(PromptEncoder::Of(prefix).has_value());
}

TEST(PromptEncoder, AtFirstItAddsNothing) {
  for (const TuningMethod& method : AllNetworks()) {
    const TensorMap made = PromptEncoder::Of(method)->Apply(Begin(method));

    const TensorMap front = Front(method);
    ASSERT_EQ(made.size(), front.size());
    for (const auto& [name, value] : front) {
      EXPECT_TRUE(made.at(name).equal(value))
          << name << " of " << method.ShortDebugString();
    }
  }
}

TEST(PromptEncoder, ItsLastLayerLearnsFromTheFirstStepOn) {
  for (const TuningMethod& method : AllNetworks()) {
    TensorMap values = Begin(method);
    for (auto& [name, value] : values) value.requires_grad_();
    at::Tensor loss = at::zeros({}, at::kFloat);
    SeededRandom random(3, 0);
    for (const auto& [name, made] : PromptEncoder::Of(method)->Apply(values)) {
      loss = loss + (made * NormalTensor(made.sizes(), random)).sum();
    }
    const bool residual = method.prompt_tuning().reparameterisation() ==
                          PromptTuning::REPARAMETERISATION_RESIDUAL_MLP;
    const at::Tensor last =
        values.at(residual ? "encoder.norm.weight" : "encoder.last.weight");

    const at::Tensor gradient = torch::autograd::grad({loss}, {last})[0];

    EXPECT_GT(gradient.abs().max().item<double>(), 1e-3)
        << method.ShortDebugString();
  }
}

TEST(PromptEncoder, TheMlpIsThreeLinearLayers) {
  const TuningMethod method = Prompt(PromptTuning::REPARAMETERISATION_MLP);
  const TensorMap values = Amid(method);
  const Matrix rows = ToMatrix(values.at("prompt"));

  const Matrix first = Relu(Layer(rows, values, "first"));
  const Matrix second = Relu(Layer(first, values, "second"));

  ExpectNear(PromptEncoder::Of(method)->Apply(values).at("prompt"),
             Plus(Layer(second, values, "last"), rows));
}

TEST(PromptEncoder, TheLstmReadsTheRowsInBothDirections) {
  const TuningMethod method = Prompt(PromptTuning::REPARAMETERISATION_LSTM);
  const TensorMap values = Amid(method);
  const Matrix rows = ToMatrix(values.at("prompt"));

  const Matrix first = Relu(Layer(Lstm(rows, values), values, "first"));

  ExpectNear(PromptEncoder::Of(method)->Apply(values).at("prompt"),
             Plus(Layer(first, values, "last"), rows));
}

TEST(PromptEncoder, TheResidualMlpIsANormalisedBottleneck) {
  const TuningMethod method =
      Prompt(PromptTuning::REPARAMETERISATION_RESIDUAL_MLP);
  const TensorMap values = Amid(method);
  const Matrix rows = ToMatrix(values.at("prompt"));
  const Matrix gain = ToMatrix(values.at("encoder.norm.weight"));
  const Matrix bias = ToMatrix(values.at("encoder.norm.bias"));

  Matrix added =
      Normalised(Layer(Relu(Layer(rows, values, "down")), values, "up"));
  for (auto& row : added) {
    for (size_t j = 0; j < row.size(); ++j) {
      row[j] = row[j] * gain[j][0] + bias[j][0];
    }
  }

  ExpectNear(PromptEncoder::Of(method)->Apply(values).at("prompt"),
             Plus(added, rows));
}

TEST(PromptEncoder, TheProjectionMakesKeysAndValuesOfAllLayers) {
  const TuningMethod method = Projection();
  const TensorMap values = Amid(method);
  const Matrix codes = ToMatrix(values.at("encoder.codes"));
  const Matrix first = Each(Layer(codes, values, "first"),
                            [](double v) { return std::tanh(v); });
  const Matrix last = Layer(first, values, "last");

  const TensorMap made = PromptEncoder::Of(method)->Apply(values);

  // Of a position: layer by layer keys, then values, head by head.
  for (int layer = 0; layer < 3; ++layer) {
    for (int part = 0; part < 2; ++part) {
      const std::string name = part == 0 ? "prefix.keys" : "prefix.values";
      for (int head = 0; head < 2; ++head) {
        for (int row = 0; row < kLength; ++row) {
          for (int i = 0; i < 3; ++i) {
            const int place = ((layer * 2 + part) * 2 + head) * 3 + i;
            const auto at = [&](const at::Tensor& tensor) {
              return tensor[layer][head][row][i].item<double>();
            };
            EXPECT_NEAR(at(made.at(name)),
                        at(values.at(name)) + last[row][place], kTolerance);
          }
        }
      }
    }
  }
}

TEST(PromptEncoder, TheSeedDecidesTheParameters) {
  for (const TuningMethod& method : AllNetworks()) {
    const std::string name =
        method.prompt_tuning().reparameterisation() ==
                PromptTuning::REPARAMETERISATION_RESIDUAL_MLP
            ? "encoder.down.weight"
            : "encoder.first.weight";

    EXPECT_TRUE(Begin(method, 1).at(name).equal(Begin(method, 1).at(name)));
    EXPECT_FALSE(Begin(method, 1).at(name).equal(Begin(method, 2).at(name)));
  }
}

TEST(PromptEncoder, ParametersAreOfTheScaleOfTheirLayer) {
  const at::Tensor weight = Begin(Prompt(PromptTuning::REPARAMETERISATION_MLP))
                                .at("encoder.first.weight");

  EXPECT_LE(weight.abs().max().item<double>(), 1 / std::sqrt(kWidth));
  EXPECT_GT(weight.abs().max().item<double>(), 0.5 / std::sqrt(kWidth));
}

}  // namespace
}  // namespace attune::worker
