// The gradient that training follows against central differences of the loss,
// for every family of models and every method.

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/golden_model.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/trainer.h"

namespace attune::worker {
namespace {

constexpr int kWays = 4;
constexpr int64_t kFamilyRows = 4;
constexpr int64_t kUndivided = 1 << 20;
// How far a value is moved, as a share of its norm. The differences of this
// step and of half of it give one without the error of second order; what is
// left of truncation is below 1e-3 of a typical slope on these models.
constexpr double kStep = 1e-2;
// The attention of T5 does not scale its scores and bends the loss sharply, and
// a kink of ReLU is met less often on a shorter way.
constexpr double kShortStep = 1e-3;
// Losses are fp32 and below 16, so each is up to some 1e-6 off; divided by the
// step, with the weights of the two differences.
constexpr double kRounding = 1e-5;
// Of a typical slope. Smooth activations need 1e-3; where a kink of ReLU is
// within the step, the loss has no slope to compare with.
constexpr double kSmoothTolerance = 5e-3;
constexpr double kKinkTolerance = 0.15;

at::Tensor NormalNumbers(at::IntArrayRef shape, SeededRandom& random) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  std::vector<float> numbers;
  for (int64_t i = 0; i < count; ++i) {
    numbers.push_back(static_cast<float>(random.Normal()));
  }
  return at::tensor(numbers).view(shape).clone();
}

std::vector<int64_t> RandomIds(int64_t count, SeededRandom& random) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) {
    ids.push_back(kFirstGoldenId + static_cast<int64_t>(random.Below(
                                       kGoldenVocab - kFirstGoldenId)));
  }
  return ids;
}

using ::attune::v1::PromptTuning;
using ::attune::v1::TuningMethod;

TuningMethod PromptWith(PromptTuning::Reparameterisation network) {
  TuningMethod method;
  PromptTuning& prompt = *method.mutable_prompt_tuning();
  prompt.set_num_virtual_tokens(kFamilyRows);
  prompt.set_initialisation(PromptTuning::INITIALISATION_SCALED_RANDOM);
  prompt.set_reparameterisation(network);
  return method;
}

TuningMethod PrefixWith(bool projection) {
  TuningMethod method;
  auto& prefix = *method.mutable_prefix_tuning();
  prefix.set_num_virtual_tokens(kFamilyRows);
  prefix.set_initialisation(PromptTuning::INITIALISATION_SCALED_RANDOM);
  prefix.set_projection(projection);
  return method;
}

// A method by the name that a test has.
TuningMethod MethodNamed(const std::string& name) {
  if (name == "prompt")
    return PromptWith(PromptTuning::REPARAMETERISATION_NONE);
  if (name == "mlp") return PromptWith(PromptTuning::REPARAMETERISATION_MLP);
  if (name == "lstm") return PromptWith(PromptTuning::REPARAMETERISATION_LSTM);
  if (name == "residual") {
    return PromptWith(PromptTuning::REPARAMETERISATION_RESIDUAL_MLP);
  }
  if (name == "prefix") return PrefixWith(/*projection=*/false);
  if (name == "projection") return PrefixWith(/*projection=*/true);
  TuningMethod method;
  if (name == "lora") method.mutable_lora()->set_rank(2);
  if (name == "top_layers") method.mutable_top_layers()->set_num_layers(1);
  if (name == "all_parameters") method.mutable_all_parameters();
  if (name == "bias_only") method.mutable_bias_only();
  if (name == "head") method.mutable_head();
  return method;
}

// The method with its defaults, as a job has it.
absl::StatusOr<TuningMethod> ResolvedMethod(const LoadedModel& model,
                                            const TuningMethod& method) {
  attune::v1::TuningJobSpec spec;
  const bool by_head = model.info.config.kind == ModelKind::kEncoder;
  spec.mutable_task()->set_type(by_head
                                    ? attune::v1::TASK_TYPE_TEXT_CLASSIFICATION
                                    : attune::v1::TASK_TYPE_TEXT_GENERATION);
  if (by_head) {
    spec.mutable_task()->set_label_scoring(attune::v1::LABEL_SCORING_HEAD);
  }
  *spec.mutable_method() = method;
  ATTUNE_ASSIGN_OR_RETURN(
      spec,
      ResolveSpec(spec, {.num_train_rows = 100,
                         .context_length = model.info.config.context_length,
                         .embedding_rms = 0.5,
                         .embedding_dim = model.info.config.embedding_dim,
                         .num_layers = model.info.config.NumCachedLayers()}));
  ATTUNE_RETURN_IF_ERROR(ResolveAdaptation(model, *spec.mutable_method()));
  return spec.method();
}

// A model, what is trained of it, and what it is trained with.
class Subject {
 public:
  Subject(const TaskProgram& program, const TuningMethod& method,
          const std::vector<PreparedExample>& examples, double step)
      : program_(program), method_(method), step_(step) {
    for (const PreparedExample& one : examples) batch_.push_back(&one);
  }

  absl::StatusOr<BatchGradient> GradientAt(const TensorMap& values) const {
    return ComputeGradient(program_, method_, values, batch_, kUndivided);
  }

  double step() const { return step_; }

  // The slope of the loss where the values move along `direction`.
  double NumericalSlope(const TensorMap& values,
                        const TensorMap& direction) const {
    return (4 * CentralDifference(values, direction, step_ / 2) -
            CentralDifference(values, direction, step_)) /
           3;
  }

 private:
  double CentralDifference(const TensorMap& values, const TensorMap& direction,
                           double step) const {
    double losses[2] = {NAN, NAN};
    for (int i = 0; i < 2; ++i) {
      TensorMap moved = values;
      for (const auto& [name, way] : direction) {
        moved[name] = values.at(name) + (i == 0 ? step : -step) * way;
      }
      const auto gradient = GradientAt(moved);
      EXPECT_OK(gradient);
      if (gradient.ok()) losses[i] = gradient->loss;
    }
    return (losses[0] - losses[1]) / (2 * step);
  }

  const TaskProgram& program_;
  const TuningMethod& method_;
  const double step_;
  std::vector<const PreparedExample*> batch_;
};

// Moves the values `names` together, each by its share of a step of its norm:
// as far as one alone would go.
void ExpectSlopes(const Subject& subject, const TensorMap& values,
                  const TensorMap& gradients,
                  const std::vector<std::string>& names, double tolerance,
                  SeededRandom& random) {
  TensorMap direction;
  double slope = 0;
  double squares = 0;  // of what each value's random way adds on average
  for (const std::string& name : names) {
    const at::Tensor& value = values.at(name);
    const at::Tensor gradient = gradients.at(name).to(at::kDouble);
    const double norm = value.norm().item<double>() /
                        std::sqrt(static_cast<double>(names.size()));
    at::Tensor way = NormalNumbers(value.sizes(), random);
    way = way * (norm / way.norm().item<double>());
    direction[name] = way;
    slope += (gradient * way).sum().item<double>();
    squares += std::pow(gradient.norm().item<double>() * norm, 2) /
               static_cast<double>(value.numel());
  }

  const double numerical = subject.NumericalSlope(values, direction);

  EXPECT_NEAR(slope, numerical,
              tolerance * std::sqrt(squares) + kRounding / subject.step())
      << "typical slope " << std::sqrt(squares);
}

// A family of tests/golden/architectures.
struct Family {
  const char* name;
  bool is_encoder = false;
  bool has_kinks = false;
  double step = kStep;
};

constexpr Family kFamilies[] = {
    {.name = "llama"},
    {.name = "mistral"},
    {.name = "qwen2"},
    {.name = "qwen3"},
    {.name = "gemma3_text"},
    {.name = "gpt2"},
    {.name = "gpt_neox"},
    {.name = "opt", .has_kinks = true, .step = kShortStep},
    {.name = "opt_350m", .has_kinks = true, .step = kShortStep},
    {.name = "bert", .is_encoder = true},
    {.name = "roberta_mlm", .is_encoder = true},
    {.name = "distilbert_mlm", .is_encoder = true},
    {.name = "electra", .is_encoder = true},
    {.name = "t5", .has_kinks = true, .step = kShortStep},
    {.name = "t5_v11", .step = kShortStep},
    {.name = "mt5", .step = kShortStep}};

// The networks of a prompt that have ReLU.
bool HasKinks(const std::string& method) {
  return method == "mlp" || method == "lstm" || method == "residual";
}

class FamilyGradients
    : public testing::TestWithParam<std::pair<Family, std::string>> {};

TEST_P(FamilyGradients, AreTheSlopesOfTheLoss) {
  const auto& [family, name] = GetParam();
  const auto model = LoadGoldenModel(family.name);
  ASSERT_OK(model);
  const auto method = ResolvedMethod(**model, MethodNamed(name));
  if (name == "bias_only" && !method.ok()) {
    EXPECT_THAT(method, ReasonIs(Reason::kIllegalState,
                                 testing::HasSubstr("no biases")));
    return;
  }
  ASSERT_OK(method);
  const auto program =
      TaskProgram::Compile(family.is_encoder ? LabelTask({"a", "b", "c"})
                                             : TextTask(/*max_new_tokens=*/4),
                           *model, NumVirtualTokens(*method));
  ASSERT_OK(program);
  SeededRandom random(/*seed=*/6, /*stream=*/0);
  std::vector<PreparedExample> examples;
  for (int i = 0; i < 3; ++i) {
    examples.push_back(ExampleOfIds(RandomIds(3 + 3 * i, random),
                                    RandomIds(1 + i % 2, random)));
    examples.back().label = family.is_encoder ? i : -1;
  }
  auto front = MakeInitialFront(*method, **program, examples,
                                /*embedding_rms=*/0.5, /*seed=*/2,
                                /*source=*/nullptr);
  ASSERT_OK(front);
  TensorMap values = MakeInitialValues(**program, *std::move(front));
  std::vector<std::string> names;
  for (auto& [value_name, value] : values) {
    // What begins as zeros would hide what stands behind it.
    if (value.norm().item<double>() == 0) {
      value = 0.3 * NormalNumbers(value.sizes(), random);
    }
    names.push_back(value_name);
  }
  const Subject subject(**program, *method, examples, family.step);
  const auto gradient = subject.GradientAt(values);
  ASSERT_OK(gradient);
  ASSERT_EQ(gradient->gradients.size(), values.size());
  const double tolerance =
      family.has_kinks || HasKinks(name) ? kKinkTolerance : kSmoothTolerance;

  for (int way = 0; way < kWays; ++way) {
    ExpectSlopes(subject, values, gradient->gradients, names, tolerance,
                 random);
  }
  for (const std::string& value_name : names) {
    SCOPED_TRACE(value_name);
    ExpectSlopes(subject, values, gradient->gradients, {value_name}, tolerance,
                 random);
  }
}

std::vector<std::pair<Family, std::string>> FamiliesAndMethods() {
  std::vector<std::pair<Family, std::string>> all;
  for (const Family& family : kFamilies) {
    for (const char* method : {"prompt", "prefix", "lora", "top_layers",
                               "all_parameters", "bias_only"}) {
      all.emplace_back(family, method);
    }
    if (family.is_encoder) all.emplace_back(family, "head");
  }
  // Networks stand before the model, whichever it is.
  for (const char* method : {"mlp", "lstm", "residual", "projection"}) {
    all.emplace_back(kFamilies[0], method);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGradients,
                         testing::ValuesIn(FamiliesAndMethods()),
                         [](const auto& info) {
                           return absl::StrCat(info.param.first.name, "_",
                                               info.param.second);
                         });

}  // namespace
}  // namespace attune::worker
