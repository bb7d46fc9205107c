// The gradients that training follows against central differences of the loss,
// for every kind of model and what is trained in front of it; and binary
// cross-entropy against its closed form.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/trainer.h"

namespace attune::worker {
namespace {

constexpr int64_t kFrontRows = 3;
constexpr int64_t kNoSplit = 1 << 20;  // rows
constexpr int kDirections = 4;

// A model, a task and what is trained.
struct GradientCase {
  const char* name;
  const char* model;   // of TinyModels
  bool generates;      // otherwise it classifies
  bool trains_prefix;  // otherwise rows
};

TensorMap Moved(const TensorMap& values, const TensorMap& direction,
                double distance) {
  TensorMap moved;
  for (const auto& [name, value] : values) {
    moved[name] = value + distance * direction.at(name);
  }
  return moved;
}

double Slope(const TensorMap& gradients, const TensorMap& direction) {
  double slope = 0;
  for (const auto& [name, gradient] : gradients) {
    slope += (gradient * direction.at(name)).sum(at::kDouble).item<double>();
  }
  return slope;
}

std::vector<const PreparedExample*> BatchOf(
    const std::vector<PreparedExample>& examples) {
  std::vector<const PreparedExample*> batch;
  for (const PreparedExample& one : examples) batch.push_back(&one);
  return batch;
}

// Texts of different lengths with their answers, prepared for `program`.
std::vector<PreparedExample> RaggedExamples(const TaskProgram& program) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"it is the one", "a"}, {"no", "b"}, {"and the other thing", "a"}};
  std::vector<Example> examples;
  for (const auto& [text, answer] : rows) {
    examples.push_back({.row = static_cast<int64_t>(examples.size()) + 1,
                        .fields = absl::StrCat(R"({"text": ")", text, "\"}"),
                        .answer = answer});
  }
  auto prepared = PrepareExamples(program, examples);
  EXPECT_OK(prepared);
  return prepared.ok() ? *std::move(prepared) : std::vector<PreparedExample>();
}

// Random rows of the size of embeddings, or what the model makes of them.
TensorMap RandomFront(const LoadedModel& model, bool is_prefix) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows =
      model.model->Embed(at::arange(20, 20 + kFrontRows)) +
      0.1 * at::randn({kFrontRows, model.info.config.embedding_dim});
  if (!is_prefix) return {{"prompt", rows}};
  const auto block = model.model->BuildPrefix(rows);
  EXPECT_OK(block);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (int64_t layer = 0; layer < (*block)->num_layers(); ++layer) {
    keys.push_back((*block)->keys(layer));
    values.push_back((*block)->values(layer));
  }
  return {{"prefix.keys", at::stack(keys)},
          {"prefix.values", at::stack(values)}};
}

class GradientCheck : public testing::TestWithParam<GradientCase> {
 protected:
  void SetUp() override {
    at::manual_seed(17);
    model_ = TinyModel(GetParam().model);
    auto program = TaskProgram::Compile(GetParam().generates
                                            ? TextTask(/*max_new_tokens=*/8)
                                            : LabelTask({"a", "b"}),
                                        model_, kFrontRows);
    ASSERT_OK(program);
    program_ = *std::move(program);
    examples_ = RaggedExamples(*program_);
    values_ = MakeInitialValues(*program_,
                                RandomFront(*model_, GetParam().trains_prefix));
    // A head of zeros sends nothing back to what stands in front.
    for (const char* name : {"head.weight", "head.bias"}) {
      const auto found = values_.find(name);
      if (found != values_.end()) {
        found->second = at::randn_like(found->second);
      }
    }
  }

  double LossAt(const TensorMap& values) const {
    const auto result =
        ComputeGradient(*program_, {}, values, BatchOf(examples_), kNoSplit);
    EXPECT_OK(result);
    return result.ok() ? result->loss : std::nan("");
  }

  // Central differences of the loss along random directions of length 1 that
  // move the values `names`.
  void ExpectSlopes(const BatchGradient& gradient,
                    const std::vector<std::string>& names) const {
    constexpr double kDistance = 2e-2;
    for (int trial = 0; trial < kDirections; ++trial) {
      TensorMap direction;
      double squares = 0;
      for (const auto& [name, value] : values_) {
        const bool moves =
            std::find(names.begin(), names.end(), name) != names.end();
        direction[name] = at::randn_like(value) * (moves ? 1.0 : 0.0);
        squares += direction[name].square().sum().item<double>();
      }
      for (auto& [name, tensor] : direction) tensor.div_(std::sqrt(squares));
      const double difference =
          (LossAt(Moved(values_, direction, kDistance)) -
           LossAt(Moved(values_, direction, -kDistance))) /
          (2 * kDistance);
      const double slope = Slope(gradient.gradients, direction);

      // fp32 losses of about 5 are exact to some 1e-6, which the distance of
      // 4e-2 makes 1e-4 at most; the rest is for the third derivative.
      EXPECT_NEAR(slope, difference, 5e-4 + 2e-2 * std::abs(slope))
          << absl::StrJoin(names, ", ") << ", direction " << trial;
    }
  }

  std::shared_ptr<const LoadedModel> model_;
  std::unique_ptr<const TaskProgram> program_;
  std::vector<PreparedExample> examples_;
  TensorMap values_;
};

TEST_P(GradientCheck, EqualsCentralDifferences) {
  const auto gradient =
      ComputeGradient(*program_, {}, values_, BatchOf(examples_), kNoSplit);

  ASSERT_OK(gradient);
  ASSERT_EQ(gradient->gradients.size(), values_.size());
  std::vector<std::string> names;
  for (const auto& [name, value] : values_) {
    EXPECT_GT(gradient->gradients.at(name).norm().item<double>(), 1e-4) << name;
    ExpectSlopes(*gradient, {name});
    names.push_back(name);
  }
  ExpectSlopes(*gradient, names);
}

INSTANTIATE_TEST_SUITE_P(
    MethodsAndKinds, GradientCheck,
    testing::Values(
        GradientCase{"DecoderWordsPrompt", "tiny", false, false},
        GradientCase{"DecoderWordsPrefix", "tiny", false, true},
        GradientCase{"DecoderTextPrompt", "tiny", true, false},
        GradientCase{"DecoderTextPrefix", "tiny", true, true},
        GradientCase{"EncoderHeadPrompt", "encoder", false, false},
        GradientCase{"EncoderHeadPrefix", "encoder", false, true},
        GradientCase{"EncoderDecoderWordsPrompt", "t5", false, false},
        GradientCase{"EncoderDecoderWordsPrefix", "t5", false, true},
        GradientCase{"EncoderDecoderTextPrompt", "t5", true, false},
        GradientCase{"EncoderDecoderTextPrefix", "t5", true, true}),
    [](const testing::TestParamInfo<GradientCase>& info) {
      return std::string(info.param.name);
    });

// A head over two labels is a binary classifier: softmax of two logits is the
// sigmoid of their difference z, the loss -log sigmoid(+-z), its slope in z
// sigmoid(z) - y, and the chain rule gives the head's gradients from there.
class BinaryCrossEntropy : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(23);
    model_ = TinyModel("encoder");
    auto program =
        TaskProgram::Compile(LabelTask({"a", "b"}), model_, kFrontRows);
    ASSERT_OK(program);
    program_ = *std::move(program);
    examples_ = RaggedExamples(*program_);
    values_ = RandomFront(*model_, /*is_prefix=*/false);
    const int64_t dim = model_->info.config.dim;
    values_["head.weight"] = at::randn({2, dim});
    values_["head.bias"] = at::randn({2});
  }

  // The mean of each text's last hidden states, [texts, dim].
  at::Tensor Pooled() const {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> means;
    for (const PreparedExample& one : examples_) {
      EncoderRows rows;
      rows.embeddings =
          at::cat({values_.at("prompt"),
                   model_->encoder().Embed(at::tensor(one.input.ids))});
      rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
      const auto hidden = model_->encoder().Forward(rows);
      EXPECT_OK(hidden);
      means.push_back(hidden->slice(0, kFrontRows).mean(0));
    }
    return at::stack(means);
  }

  std::shared_ptr<const LoadedModel> model_;
  std::unique_ptr<const TaskProgram> program_;
  std::vector<PreparedExample> examples_;
  TensorMap values_;
};

TEST_F(BinaryCrossEntropy, EqualsItsClosedForm) {
  const auto gradient =
      ComputeGradient(*program_, {}, values_, BatchOf(examples_), kNoSplit);
  ASSERT_OK(gradient);

  const at::Tensor pooled = Pooled().to(at::kDouble);
  std::vector<double> targets;  // 1 for label 1
  for (const PreparedExample& one : examples_) targets.push_back(one.label);
  const at::Tensor y = at::tensor(targets, at::kDouble);
  const at::Tensor logits =
      pooled.matmul(values_.at("head.weight").to(at::kDouble).t()) +
      values_.at("head.bias").to(at::kDouble);
  const at::Tensor z = logits.select(1, 1) - logits.select(1, 0);
  const at::Tensor loss =
      -(y * at::log_sigmoid(z) + (1 - y) * at::log_sigmoid(-z)).mean();
  const at::Tensor slopes =
      (at::sigmoid(z) - y) / static_cast<double>(examples_.size());
  const at::Tensor one = at::tensor(std::vector<double>{-1, 1}, at::kDouble);
  const at::Tensor weight_gradient = at::outer(one, slopes.matmul(pooled));
  const at::Tensor bias_gradient = one * slopes.sum();

  // Sums of 32 fp32 products of order one.
  EXPECT_NEAR(gradient->loss, loss.item<double>(), 1e-5);
  EXPECT_TRUE(gradient->gradients.at("head.weight")
                  .to(at::kDouble)
                  .allclose(weight_gradient, 1e-4, 1e-5));
  EXPECT_TRUE(gradient->gradients.at("head.bias")
                  .to(at::kDouble)
                  .allclose(bias_gradient, 1e-4, 1e-5));
}

}  // namespace
}  // namespace attune::worker
