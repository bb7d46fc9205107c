#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/checkpoint.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_encoders_golden.py says what is in it.
constexpr char kEncoders[] = "tests/golden/architectures/";
constexpr int kNumInputs = 5;
// A prompt and a prefix stand before the first of them only.
constexpr int kNumPromptedInputs = 3;
constexpr int kGradientInput = 2;
// Numbers are of order one to ten and few are summed: another order of fp32
// sums moves them by 1e-5 at most.
constexpr double kEncoderTolerance = 1e-4;  // absolute; of gradients relative

// One tiny encoder against Hugging Face transformers, both in fp32.
class EncodersGolden : public testing::TestWithParam<const char*> {
 protected:
  // Inputs behind each other, each a segment.
  struct Batch {
    EncoderRows rows;
    std::vector<int64_t> begins;  // first row of each segment
  };

  void SetUp() override {
    directory_ = Concat(kEncoders, GetParam());
    auto golden = Safetensors::Open(Concat(directory_, ".safetensors"));
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
    const auto config = ReadModelConfig(directory_);
    ASSERT_OK(config);
    auto checkpoint = Checkpoint::Open(directory_);
    ASSERT_OK(checkpoint);
    auto model = LoadEncoderModel(*config, *checkpoint, at::Device(at::kCPU),
                                  at::kFloat);
    ASSERT_OK(model);
    model_ = *std::move(model);
  }

  bool Has(const std::string& name) const {
    return golden_->entries().contains(name);
  }
  at::Tensor Golden(const std::string& name) const {
    return *golden_->Get(name);
  }
  at::Tensor Golden(const char* name, int input) const {
    return Golden(Concat(name, ".", input));
  }

  // The first `count` inputs, each behind a copy of `prompt` if that is defined
  // and behind `prefix`.
  Batch Inputs(int count, const at::Tensor& prompt = {},
               const KvBlock* prefix = nullptr) const {
    Batch batch;
    std::vector<at::Tensor> rows;
    std::vector<at::Tensor> types;
    const bool typed = Has("token_type_ids.0");
    int64_t begin = 0;
    for (int input = 0; input < count; ++input) {
      const at::Tensor ids = Golden("input_ids", input);
      int64_t length = ids.size(0);
      if (prompt.defined()) {
        rows.push_back(prompt);
        types.push_back(at::zeros({prompt.size(0)}, at::kLong));
        length += prompt.size(0);
      }
      rows.push_back(model_->Embed(ids));
      types.push_back(typed ? Golden("token_type_ids", input)
                            : at::zeros_like(ids));
      batch.begins.push_back(begin);
      batch.rows.segments.push_back(
          {.begin = begin, .length = length, .prefix = prefix});
      begin += length;
    }
    batch.rows.embeddings = at::cat(rows);
    if (typed) batch.rows.token_types = at::cat(types);
    return batch;
  }

  static void ExpectClose(const at::Tensor& ours, const at::Tensor& expected,
                          const std::string& what) {
    ASSERT_EQ(ours.sizes(), expected.sizes()) << what;
    EXPECT_LT((ours - expected).abs().max().item<double>(), kEncoderTolerance)
        << what;
  }

  // Hidden states of every input equal those called `name`.
  at::Tensor ExpectHidden(const Batch& batch, const char* name) const {
    const auto hidden = model_->Forward(batch.rows);
    EXPECT_OK(hidden);
    if (!hidden.ok()) return at::Tensor();
    for (size_t i = 0; i < batch.begins.size(); ++i) {
      ExpectClose(
          hidden->narrow(0, batch.begins[i], batch.rows.segments[i].length),
          Golden(name, static_cast<int>(i)), Concat(name, ".", i));
    }
    return *hidden;
  }

  // The head's logits of every input equal those called `name`, if there are
  // any.
  void ExpectLogits(const Batch& batch, const at::Tensor& hidden,
                    const char* name) const {
    if (!Has(Concat(name, ".0"))) return;
    const bool one = model_->config().head == EncoderHead::kSequence;
    for (size_t i = 0; i < batch.begins.size(); ++i) {
      const auto logits = model_->HeadLogits(hidden.narrow(
          0, batch.begins[i], one ? 1 : batch.rows.segments[i].length));
      ASSERT_OK(logits);
      const at::Tensor expected = Golden(name, static_cast<int>(i));
      ExpectClose(logits->view(expected.sizes()), expected,
                  Concat(name, ".", i));
    }
  }

  std::string directory_;
  std::optional<Safetensors> golden_;
  std::unique_ptr<EncoderModel> model_;
};

TEST_P(EncodersGolden, RaggedInputsWithoutPadding) {
  const at::NoGradGuard no_grad;
  const Batch batch = Inputs(kNumInputs);

  const at::Tensor hidden = ExpectHidden(batch, "hidden");

  ASSERT_TRUE(hidden.defined());
  ExpectLogits(batch, hidden, "logits");
}

TEST_P(EncodersGolden, EveryInputHasItsOwnPrompt) {
  const at::NoGradGuard no_grad;
  const Batch batch = Inputs(kNumPromptedInputs, Golden("prompt"));

  const at::Tensor hidden = ExpectHidden(batch, "prompt_hidden");

  ASSERT_TRUE(hidden.defined());
  ExpectLogits(batch, hidden, "prompt_logits");
}

TEST_P(EncodersGolden, KeysAndValuesBeforeTheInput) {
  const at::NoGradGuard no_grad;
  const KvBlock prefix(Golden("prefix_keys").unbind(0),
                       Golden("prefix_values").unbind(0));
  const Batch batch = Inputs(kNumPromptedInputs, {}, &prefix);

  // DistilBERT takes no prefix in transformers: there the numbers that count
  // positions as all others do are called so.
  const bool shifted = Has("prefix_hidden_shifted.0");
  const at::Tensor hidden =
      ExpectHidden(batch, shifted ? "prefix_hidden_shifted" : "prefix_hidden");

  ASSERT_TRUE(hidden.defined());
  if (!shifted) ExpectLogits(batch, hidden, "prefix_logits");
}

TEST_P(EncodersGolden, PromptGradient) {
  const at::AutoGradMode grad(true);
  const at::Tensor prompt = Golden("prompt").requires_grad_(true);
  const Batch batch = Inputs(kNumPromptedInputs, prompt);

  const auto hidden = model_->Forward(batch.rows);
  ASSERT_OK(hidden);
  const int64_t length = Golden("input_ids", kGradientInput).size(0);
  const at::Tensor text =
      hidden->narrow(0, batch.begins[kGradientInput] + prompt.size(0), length);
  (text.square().sum() / length).backward();

  EXPECT_LT(RelativeDifference(prompt.grad(), Golden("prompt_gradient")),
            kEncoderTolerance);
}

TEST_P(EncodersGolden, PrefixGradient) {
  const at::AutoGradMode grad(true);
  const at::Tensor keys = Golden("prefix_keys").requires_grad_(true);
  const at::Tensor values = Golden("prefix_values").requires_grad_(true);
  const KvBlock prefix(keys.unbind(0), values.unbind(0));
  // DistilBERT's numbers are of positions that the prefix does not count.
  if (Has("prefix_hidden_shifted.0")) GTEST_SKIP();
  const Batch batch = Inputs(kNumPromptedInputs, {}, &prefix);

  const auto hidden = model_->Forward(batch.rows);
  ASSERT_OK(hidden);
  const int64_t length = Golden("input_ids", kGradientInput).size(0);
  const at::Tensor text =
      hidden->narrow(0, batch.begins[kGradientInput], length);
  (text.square().sum() / length).backward();

  EXPECT_LT(RelativeDifference(keys.grad(), Golden("prefix_keys_gradient")),
            kEncoderTolerance);
  EXPECT_LT(RelativeDifference(values.grad(), Golden("prefix_values_gradient")),
            kEncoderTolerance);
}

TEST_P(EncodersGolden, ASharedSegmentIsRefused) {
  Batch batch = Inputs(2);
  batch.rows.segments[1].parent = 0;

  EXPECT_THAT(model_->Forward(batch.rows),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("segment 1")));
}

INSTANTIATE_TEST_SUITE_P(
    Families, EncodersGolden,
    testing::Values("bert", "bert_mlm", "bert_sequence", "bert_token",
                    "bert_qa", "roberta_mlm", "roberta_sequence", "xlm_roberta",
                    "distilbert_mlm", "distilbert_sequence", "electra",
                    "electra_sequence", "electra_discriminator"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace attune::worker
