// Fifty steps of training beside PEFT's, which tests/golden/peft_curve holds:
// make_peft_curve_golden.py says what is in it.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tuning/adamw.h"
#include "worker/tuning/clip_gradients.h"
#include "worker/tuning/schedule.h"

namespace attune::worker {
namespace {

constexpr char kCurveModel[] = "tests/golden/architectures/llama";
constexpr char kCurveFile[] = "tests/golden/peft_curve.safetensors";
// PEFT's own curve moves by less than 1e-5 when it is computed in fp64, so
// other orders of fp32 sums move ours by about as much. A step with another
// rate, order or mask moves it by 1e-2 and more.
constexpr double kMaxLossDifference = 1e-4;
// Of the final values, relative: where the loss is flat, AdamW makes steps of
// the learning rate out of rounding.
constexpr double kMaxFinalDifference = 1e-2;

std::vector<int64_t> IdsOf(const at::Tensor& tensor) {
  const at::Tensor ids = tensor.contiguous();
  const int64_t* first = ids.const_data_ptr<int64_t>();
  return {first, first + ids.numel()};
}

// The values as part of the graph that they are in.
AttachedPrompt CurveFront(const TensorMap& values) {
  AttachedPrompt front;
  if (values.contains("prompt")) {
    front.rows = values.at("prompt");
  } else {
    front.prefix =
        std::make_shared<const KvBlock>(values.at("prefix.keys").unbind(0),
                                        values.at("prefix.values").unbind(0));
  }
  return front;
}

// A value that is trained, with AdamW's averages.
struct CurveValue {
  at::Tensor value;
  TensorMap slots;
};

// The worker's loss, optimiser, clipping and schedule over PEFT's rows.
class PeftCurve : public testing::Test {
 protected:
  void SetUp() override {
    auto golden = Safetensors::Open(kCurveFile);
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
    const auto config = ReadModelConfig(kCurveModel);
    ASSERT_OK(config);
    auto checkpoint = Checkpoint::Open(kCurveModel);
    ASSERT_OK(checkpoint);
    auto model =
        LoadCausalModel(*config, *checkpoint, at::Device(at::kCPU), at::kFloat);
    ASSERT_OK(model);
    model_ = *std::move(model);
    order_ = Golden("order");
    for (int64_t row = 0; golden_->Contains(Concat("text.", row)); ++row) {
      texts_.push_back(IdsOf(Golden(Concat("text.", row))));
      answers_.push_back(IdsOf(Golden(Concat("answer.", row))));
    }
  }

  at::Tensor Golden(const std::string& name) const {
    const auto tensor = golden_->Get(name);
    EXPECT_OK(tensor);
    return tensor.ok() ? *tensor : at::Tensor();
  }
  double Setting(const std::string& name) const {
    return std::stod(golden_->metadata().at(name));
  }

  // The loss of a step's rows before its update, which is then made.
  double MakeStep(const std::string& method, int64_t step,
                  std::map<std::string, CurveValue>& trained) const {
    const at::AutoGradMode grad_mode(true);
    TensorMap leaves;
    std::vector<at::Tensor> inputs;
    for (auto& [name, one] : trained) {
      leaves[name] = one.value.detach().clone().requires_grad_();
      inputs.push_back(leaves[name]);
    }
    std::vector<AnswerSample> samples;
    for (const int64_t row : IdsOf(order_[step])) {
      samples.push_back({.text = texts_[row], .answer = answers_[row]});
    }
    const auto loss = AnswerLoss(*model_, CurveFront(leaves), samples);
    EXPECT_OK(loss);
    if (!loss.ok()) return std::nan("");
    const at::Tensor mean = loss->sum / loss->weight;
    std::vector<at::Tensor> gradients = torch::autograd::grad({mean}, inputs);
    Update(method, step, gradients, trained);
    return mean.item<double>();
  }

  void Update(const std::string& method, int64_t step,
              std::vector<at::Tensor>& gradients,
              std::map<std::string, CurveValue>& trained) const {
    const at::NoGradGuard no_grad;
    ClipGradients(absl::MakeSpan(gradients),
                  Setting(Concat(method, ".max_norm")));
    attune::v1::TrainingConfig training;
    training.set_learning_rate_schedule(
        attune::v1::TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR);
    training.mutable_warmup_steps()->set_value(
        static_cast<int>(Setting("warmup")));
    training.set_max_steps(static_cast<int>(order_.size(0)));
    const double factor = LearningRateFactor(training, static_cast<int>(step));
    size_t next = 0;
    for (auto& [name, one] : trained) {
      AdamW(AdamWOptions())
          .Update({.learning_rate =
                       factor * Setting(Concat(method, ".learning_rate")),
                   .weight_decay = Setting("weight_decay"),
                   .update = step + 1},
                  gradients[next++], one.value, one.slots);
    }
  }

  // Trains the values `names`, which hold Golden(name.initial) at first.
  void ExpectPeftsCurve(const std::string& method,
                        const std::vector<std::string>& names) const {
    std::map<std::string, CurveValue> trained;
    for (const std::string& name : names) {
      const at::Tensor initial = Golden(Concat(name, ".initial"));
      trained[name] = {.value = initial,
                       .slots = AdamW(AdamWOptions()).MakeSlots(initial)};
    }
    const at::Tensor losses = Golden(Concat(method, ".losses"));
    ASSERT_EQ(losses.size(0), 50);
    double largest = 0;
    for (int64_t step = 0; step < losses.size(0); ++step) {
      const double expected = losses[step].item<double>();

      const double loss = MakeStep(method, step, trained);

      ASSERT_NEAR(loss, expected, kMaxLossDifference) << "step " << step;
      largest = std::max(largest, std::abs(loss - expected));
    }
    RecordProperty("largest_loss_difference", std::to_string(largest));
    for (const std::string& name : names) {
      const at::Tensor expected = Golden(Concat(name, ".final"));
      const double difference =
          ((trained[name].value - expected).norm() / expected.norm())
              .item<double>();
      EXPECT_LT(difference, kMaxFinalDifference) << name;
    }
  }

  std::optional<Safetensors> golden_;
  std::unique_ptr<CausalModel> model_;
  at::Tensor order_;  // [steps, batch]
  std::vector<std::vector<int64_t>> texts_;
  std::vector<std::vector<int64_t>> answers_;
};

TEST_F(PeftCurve, PromptTuningFollowsIt) {
  ExpectPeftsCurve("prompt", {"prompt"});
}

TEST_F(PeftCurve, PrefixTuningFollowsIt) {
  ExpectPeftsCurve("prefix", {"prefix.keys", "prefix.values"});
}

}  // namespace
}  // namespace attune::worker
