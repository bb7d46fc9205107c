#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <fstream>
#include <iterator>
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
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/packed_rows.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_decoders_golden.py says what is in it.
constexpr char kDecoders[] = "tests/golden/architectures/";
constexpr int kNumRows = 5;
// A prompt and a prefix stand before the first of them only.
constexpr int kNumPromptedRows = 3;
constexpr int kGradientRow = 2;
// Numbers are of order one to ten and few are summed: another order of fp32
// sums moves them by 1e-5 at most.
constexpr double kMaxLogitDifference = 1e-4;
constexpr double kMaxGradientDifference = 1e-4;  // relative

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  if (a.sizes() != b.sizes()) return 1e9;
  return (a - b).abs().max().item<double>();
}

struct PackedBatch {
  PackedRows rows;
  std::vector<int64_t> begins;  // first row of each text
};

// One tiny model of a family against Hugging Face transformers, both in fp32.
class DecodersGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = Concat(kDecoders, GetParam());
    auto golden = Safetensors::Open(Concat(directory_, ".safetensors"));
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
    const auto config = ReadModelConfig(directory_);
    ASSERT_OK(config);
    model_ = Load(*config);
    ASSERT_NE(model_, nullptr);
  }

  std::unique_ptr<CausalModel> Load(const ModelConfig& config) {
    auto checkpoint = Checkpoint::Open(directory_);
    EXPECT_OK(checkpoint);
    auto model =
        LoadCausalModel(config, *checkpoint, at::Device(at::kCPU), at::kFloat);
    EXPECT_OK(model);
    return model.ok() ? *std::move(model) : nullptr;
  }

  at::Tensor Golden(const char* name) const { return *golden_->Get(name); }
  at::Tensor Golden(const char* name, int row) const {
    return *golden_->Get(Concat(name, ".", row));
  }

  at::Tensor Text(int row) const {
    return model_->Embed(Golden("input_ids", row));
  }

  // The first `count` texts behind each other, each a root with `prefix`.
  PackedBatch Texts(int count, const KvBlock* prefix = nullptr) const {
    PackedBatch batch;
    std::vector<at::Tensor> parts;
    int64_t begin = 0;
    for (int row = 0; row < count; ++row) {
      parts.push_back(Text(row));
      const int64_t length = parts.back().size(0);
      batch.begins.push_back(begin);
      batch.rows.segments.push_back(
          {.begin = begin, .length = length, .prefix = prefix});
      begin += length;
    }
    batch.rows.embeddings = at::cat(parts);
    return batch;
  }

  // The prompt once, and the prompted texts as its children.
  PackedBatch TextsBehindOnePrompt(const at::Tensor& prompt) const {
    PackedBatch batch = Texts(kNumPromptedRows);
    const int64_t length = prompt.size(0);
    for (Segment& segment : batch.rows.segments) {
      segment.begin += length;
      segment.parent = 0;
    }
    for (int64_t& begin : batch.begins) begin += length;
    batch.rows.segments.insert(batch.rows.segments.begin(),
                               Segment{.begin = 0, .length = length});
    batch.rows.embeddings = at::cat({prompt, batch.rows.embeddings});
    return batch;
  }

  // Logits of every text of `batch` equal those called `name`.
  void ExpectLogits(const PackedBatch& batch, const char* name) const {
    const auto hidden = model_->Forward(batch.rows);
    ASSERT_OK(hidden);
    const at::Tensor logits = model_->Logits(*hidden);
    for (size_t row = 0; row < batch.begins.size(); ++row) {
      const at::Tensor expected = Golden(name, static_cast<int>(row));
      EXPECT_LT(
          MaxDifference(logits.narrow(0, batch.begins[row], expected.size(0)),
                        expected),
          kMaxLogitDifference)
          << name << "." << row;
    }
  }

  // The mean cross-entropy of predicting each next id of the gradient row,
  // whose hidden states start at `begin`.
  at::Tensor Loss(const at::Tensor& hidden, int64_t begin) const {
    const at::Tensor ids = Golden("input_ids", kGradientRow);
    const int64_t count = ids.size(0) - 1;
    return at::cross_entropy_loss(
        model_->Logits(hidden.narrow(0, begin, count)),
        ids.narrow(0, 1, count));
  }

  std::string directory_;
  std::optional<Safetensors> golden_;
  std::unique_ptr<CausalModel> model_;
};

TEST_P(DecodersGolden, WantedRowsAreThoseOfTheWholeBatch) {
  const auto run = [&](std::vector<int64_t> wanted) {
    PackedBatch batch = Texts(kNumRows);
    batch.rows.embeddings = batch.rows.embeddings.detach().requires_grad_();
    batch.rows.wanted = std::move(wanted);
    const at::Tensor hidden = *model_->Forward(batch.rows);
    return std::make_pair(hidden, batch.rows.embeddings);
  };
  // The last rows of two texts, in another order than in the batch.
  const std::vector<int64_t> begins = Texts(kNumRows).begins;
  const std::vector<int64_t> wanted = {begins[2] - 1, begins[1] - 1, 0};
  const auto [all, all_rows] = run({});
  const auto [some, some_rows] = run(wanted);

  const at::Tensor expected = all.index_select(0, at::tensor(wanted));
  EXPECT_LT(MaxDifference(some, expected), 1e-5);
  const at::Tensor gradient =
      torch::autograd::grad({some.square().sum()}, {some_rows})[0];
  const at::Tensor expected_gradient =
      torch::autograd::grad({expected.square().sum()}, {all_rows})[0];
  // The same sums of fp32 numbers in another order.
  EXPECT_TRUE(gradient.allclose(expected_gradient, 1e-3, 1e-4));
}

TEST_P(DecodersGolden, RaggedRowsWithoutPadding) {
  at::NoGradGuard no_grad;
  const PackedBatch batch = Texts(kNumRows);

  const auto hidden = model_->Forward(batch.rows);

  ASSERT_OK(hidden);
  for (int row = 0; row < kNumRows; ++row) {
    const at::Tensor expected = Golden("hidden", row);
    EXPECT_LT(
        MaxDifference(hidden->narrow(0, batch.begins[row], expected.size(0)),
                      expected),
        kMaxLogitDifference)
        << row;
  }
  ExpectLogits(batch, "logits");
}

TEST_P(DecodersGolden, SomeLogitsAreThoseOfTheHead) {
  at::NoGradGuard no_grad;
  const at::Tensor ids = at::tensor({95, 6, 50}, at::kLong);

  const at::Tensor logits =
      model_->LogitsFor(Golden("hidden", kGradientRow), ids);

  EXPECT_LT(MaxDifference(logits, at::index_select(
                                      Golden("logits", kGradientRow), 1, ids)),
            kMaxLogitDifference);
}

TEST_P(DecodersGolden, TextsShareOnePrompt) {
  at::NoGradGuard no_grad;

  ExpectLogits(TextsBehindOnePrompt(Golden("prompt")), "prompt_logits");
}

TEST_P(DecodersGolden, EveryTextHasItsOwnPrompt) {
  at::NoGradGuard no_grad;
  const at::Tensor prompt = Golden("prompt");
  PackedBatch batch;
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (int row = 0; row < kNumPromptedRows; ++row) {
    parts.insert(parts.end(), {prompt, Text(row)});
    const int64_t length = prompt.size(0) + parts.back().size(0);
    batch.begins.push_back(begin + prompt.size(0));
    batch.rows.segments.push_back({.begin = begin, .length = length});
    begin += length;
  }
  batch.rows.embeddings = at::cat(parts);

  ExpectLogits(batch, "prompt_logits");
}

TEST_P(DecodersGolden, ACachedPromptIsThePrompt) {
  at::NoGradGuard no_grad;

  const auto prefix = model_->BuildPrefix(Golden("prompt"));

  ASSERT_OK(prefix);
  ExpectLogits(Texts(kNumPromptedRows, prefix->get()), "prompt_logits");
}

TEST_P(DecodersGolden, KeysAndValuesBeforeTheText) {
  at::NoGradGuard no_grad;
  const KvBlock prefix(Golden("prefix_keys").unbind(0),
                       Golden("prefix_values").unbind(0));

  ExpectLogits(Texts(kNumPromptedRows, &prefix), "prefix_logits");
}

TEST_P(DecodersGolden, PromptGradient) {
  at::AutoGradMode grad(true);
  const at::Tensor prompt = Golden("prompt").requires_grad_(true);
  const PackedBatch batch = TextsBehindOnePrompt(prompt);

  const auto hidden = model_->Forward(batch.rows);
  ASSERT_OK(hidden);
  Loss(*hidden, batch.begins[kGradientRow]).backward();

  EXPECT_LT(RelativeDifference(prompt.grad(), Golden("prompt_gradient")),
            kMaxGradientDifference);
}

TEST_P(DecodersGolden, PrefixGradient) {
  at::AutoGradMode grad(true);
  const at::Tensor keys = Golden("prefix_keys").requires_grad_(true);
  const at::Tensor values = Golden("prefix_values").requires_grad_(true);
  const KvBlock prefix(keys.unbind(0), values.unbind(0));
  const PackedBatch batch = Texts(kNumPromptedRows, &prefix);

  const auto hidden = model_->Forward(batch.rows);
  ASSERT_OK(hidden);
  Loss(*hidden, batch.begins[kGradientRow]).backward();

  EXPECT_LT(RelativeDifference(keys.grad(), Golden("prefix_keys_gradient")),
            kMaxGradientDifference);
  EXPECT_LT(RelativeDifference(values.grad(), Golden("prefix_values_gradient")),
            kMaxGradientDifference);
}

TEST_P(DecodersGolden, GreedyContinuationsInStep) {
  at::NoGradGuard no_grad;
  std::vector<KvSequence> sequences(kNumRows);
  std::vector<at::Tensor> next(kNumRows);  // ids that the model has not seen
  std::vector<std::vector<int64_t>> greedy(kNumRows);
  std::vector<std::vector<int64_t>> expected(kNumRows);
  for (int row = 0; row < kNumRows; ++row) {
    next[row] = Golden("input_ids", row);
    const at::Tensor ids = Golden("greedy_ids", row);
    const int64_t* data = ids.const_data_ptr<int64_t>();
    expected[row].assign(data, data + ids.numel());
  }

  while (true) {
    PackedRows rows;
    std::vector<at::Tensor> parts;
    std::vector<int> live;
    int64_t begin = 0;
    for (int row = 0; row < kNumRows; ++row) {
      if (greedy[row].size() == expected[row].size()) continue;
      live.push_back(row);
      parts.push_back(model_->Embed(next[row]));
      rows.segments.push_back({.begin = begin,
                               .length = next[row].size(0),
                               .sequence = &sequences[row]});
      begin += next[row].size(0);
    }
    if (live.empty()) break;
    rows.embeddings = at::cat(parts);
    const auto hidden = model_->Forward(rows);
    ASSERT_OK(hidden);
    for (size_t i = 0; i < live.size(); ++i) {
      const Segment& segment = rows.segments[i];
      const at::Tensor best =
          at::argmax(model_->Logits(hidden->narrow(
                         0, segment.begin + segment.length - 1, 1)),
                     1);
      next[live[i]] = best;
      greedy[live[i]].push_back(best.item<int64_t>());
    }
  }

  EXPECT_EQ(greedy, expected);
}

TEST_P(DecodersGolden, TheOldSpellingOfTheConfigMeansTheSame) {
  at::NoGradGuard no_grad;
  std::ifstream file(Concat(directory_, "/config.old.json"));
  ASSERT_TRUE(file.good());
  const std::string json{std::istreambuf_iterator<char>(file), {}};

  const auto config = ParseModelConfig(json);

  ASSERT_OK(config);
  model_ = Load(*config);
  ASSERT_NE(model_, nullptr);
  ExpectLogits(Texts(kNumRows), "logits");
}

INSTANTIATE_TEST_SUITE_P(
    Families, DecodersGolden,
    testing::Values("gpt2", "llama", "llama3_rope", "llama_linear_rope",
                    "mistral", "qwen2", "qwen2_sliding", "qwen3", "gemma3_text",
                    "gpt_neox", "gpt_neox_serial", "opt", "opt_350m"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace attune::worker
