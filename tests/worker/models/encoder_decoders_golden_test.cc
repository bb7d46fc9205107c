#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cstdint>
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
#include "worker/models/checkpoint.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::SizeIs;

// tests/golden/make_encoder_decoders_golden.py says what is in it. A pair is an
// input and an output.
constexpr char kEncoderDecoders[] = "tests/golden/architectures/";
constexpr int kNumPairs = 5;
// A prompt and a prefix stand before the first of them only.
constexpr int kNumPromptedPairs = 3;
constexpr int kGradientPair = 2;
// Numbers are of order one to ten and few are summed: another order of fp32
// sums moves them by 1e-5 at most.
constexpr double kPairTolerance = 1e-4;  // absolute; of gradients relative

// One tiny encoder-decoder against Hugging Face transformers, both in fp32.
class EncoderDecodersGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = Concat(kEncoderDecoders, GetParam());
    auto golden = Safetensors::Open(Concat(directory_, ".safetensors"));
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
    const auto config = ReadModelConfig(directory_);
    ASSERT_OK(config);
    model_ = Load(*config);
    ASSERT_NE(model_, nullptr);
  }

  std::unique_ptr<EncoderDecoderModel> Load(const ModelConfig& config) {
    auto checkpoint = Checkpoint::Open(directory_);
    EXPECT_OK(checkpoint);
    auto model = LoadEncoderDecoderModel(config, *checkpoint,
                                         at::Device(at::kCPU), at::kFloat);
    EXPECT_OK(model);
    return model.ok() ? *std::move(model) : nullptr;
  }

  at::Tensor Golden(const char* name) const { return *golden_->Get(name); }
  at::Tensor Golden(const char* name, int pair) const {
    return *golden_->Get(Concat(name, ".", pair));
  }

  // The first `count` inputs behind each other, each behind a copy of `prompt`
  // if that is defined.
  EncoderRows Inputs(int count, const at::Tensor& prompt = {}) const {
    EncoderRows inputs;
    std::vector<at::Tensor> parts;
    int64_t begin = 0;
    for (int pair = 0; pair < count; ++pair) {
      int64_t length = 0;
      if (prompt.defined()) {
        parts.push_back(prompt);
        length += prompt.size(0);
      }
      parts.push_back(model_->Embed(Golden("input_ids", pair)));
      length += parts.back().size(0);
      inputs.segments.push_back({.begin = begin, .length = length});
      begin += length;
    }
    inputs.embeddings = at::cat(parts);
    return inputs;
  }

  // The output of each of `inputs`, of which the encoder made `memory`.
  DecoderRows Outputs(const EncoderRows& inputs, const at::Tensor& memory,
                      const KvBlock* prefix = nullptr) const {
    DecoderRows outputs;
    outputs.memory = memory;
    std::vector<at::Tensor> parts;
    int64_t begin = 0;
    for (size_t pair = 0; pair < inputs.segments.size(); ++pair) {
      parts.push_back(
          model_->Embed(Golden("decoder_input_ids", static_cast<int>(pair))));
      const int64_t length = parts.back().size(0);
      outputs.rows.segments.push_back(
          {.begin = begin, .length = length, .prefix = prefix});
      const Segment& input = inputs.segments[pair];
      outputs.memories.push_back(
          {.begin = input.begin, .length = input.length});
      begin += length;
    }
    outputs.rows.embeddings = at::cat(parts);
    return outputs;
  }

  // Both sides. Undefined if one fails.
  at::Tensor Run(const EncoderRows& inputs,
                 const KvBlock* prefix = nullptr) const {
    const auto memory = model_->Encode(inputs);
    EXPECT_OK(memory);
    if (!memory.ok()) return at::Tensor();
    const auto hidden = model_->Decode(Outputs(inputs, *memory, prefix));
    EXPECT_OK(hidden);
    return hidden.ok() ? *hidden : at::Tensor();
  }

  // Of the gradient pair, which must be the last: the mean cross-entropy of
  // every decoder id that another one stands before.
  at::Tensor LossOfLastPair(const at::Tensor& hidden) const {
    const at::Tensor ids = Golden("decoder_input_ids", kGradientPair);
    const int64_t begin = hidden.size(0) - ids.size(0);
    const int64_t count = ids.size(0) - 1;
    return at::cross_entropy_loss(
        model_->Logits(hidden.narrow(0, begin, count)),
        ids.narrow(0, 1, count));
  }

  // The cached memory of every input. Empty if something fails.
  std::vector<std::shared_ptr<const KvBlock>> Memories() const {
    std::vector<std::shared_ptr<const KvBlock>> memories;
    const EncoderRows inputs = Inputs(kNumPairs);
    const auto encoded = model_->Encode(inputs);
    EXPECT_OK(encoded);
    if (!encoded.ok()) return {};
    for (const Segment& segment : inputs.segments) {
      auto memory = model_->BuildMemory(
          encoded->narrow(0, segment.begin, segment.length));
      EXPECT_OK(memory);
      if (!memory.ok()) return {};
      memories.push_back(*std::move(memory));
    }
    return memories;
  }

  // Rows of `ours` are those called `name`, pair after pair.
  void ExpectPairs(const at::Tensor& ours, const char* name, int count) const {
    ASSERT_TRUE(ours.defined());
    int64_t begin = 0;
    for (int pair = 0; pair < count; ++pair) {
      const at::Tensor expected = Golden(name, pair);
      ASSERT_LE(begin + expected.size(0), ours.size(0));
      const at::Tensor rows = ours.narrow(0, begin, expected.size(0));
      ASSERT_EQ(rows.sizes(), expected.sizes());
      EXPECT_LT((rows - expected).abs().max().item<double>(), kPairTolerance)
          << name << "." << pair;
      begin += expected.size(0);
    }
    EXPECT_EQ(begin, ours.size(0));
  }

  std::string directory_;
  std::optional<Safetensors> golden_;
  std::unique_ptr<EncoderDecoderModel> model_;
};

TEST_P(EncoderDecodersGolden, RaggedPairsWithoutPadding) {
  const at::NoGradGuard no_grad;
  const EncoderRows inputs = Inputs(kNumPairs);

  const auto memory = model_->Encode(inputs);
  ASSERT_OK(memory);
  const auto hidden = model_->Decode(Outputs(inputs, *memory));
  ASSERT_OK(hidden);

  ExpectPairs(*memory, "encoder_hidden", kNumPairs);
  ExpectPairs(*hidden, "decoder_hidden", kNumPairs);
  ExpectPairs(model_->Logits(*hidden), "logits", kNumPairs);
}

TEST_P(EncoderDecodersGolden, SomeLogitsAreThoseOfTheHead) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::tensor({95, 6, 50}, at::kLong);

  const at::Tensor logits =
      model_->LogitsFor(Golden("decoder_hidden", kGradientPair), ids);

  const at::Tensor expected =
      at::index_select(Golden("logits", kGradientPair), 1, ids);
  EXPECT_LT((logits - expected).abs().max().item<double>(), kPairTolerance);
}

TEST_P(EncoderDecodersGolden, EveryInputHasItsOwnPrompt) {
  const at::NoGradGuard no_grad;

  const at::Tensor hidden = Run(Inputs(kNumPromptedPairs, Golden("prompt")));

  ASSERT_TRUE(hidden.defined());
  ExpectPairs(model_->Logits(hidden), "prompt_logits", kNumPromptedPairs);
}

TEST_P(EncoderDecodersGolden, KeysAndValuesBeforeTheOutput) {
  const at::NoGradGuard no_grad;
  const KvBlock prefix(Golden("prefix_keys").unbind(0),
                       Golden("prefix_values").unbind(0));

  const at::Tensor hidden = Run(Inputs(kNumPromptedPairs), &prefix);

  ASSERT_TRUE(hidden.defined());
  ExpectPairs(model_->Logits(hidden), "prefix_logits", kNumPromptedPairs);
}

TEST_P(EncoderDecodersGolden, CachedMemoryIsTheMemory) {
  const at::NoGradGuard no_grad;
  const auto memories = Memories();
  ASSERT_THAT(memories, SizeIs(kNumPairs));
  DecoderRows outputs = Outputs(Inputs(kNumPairs), at::Tensor());
  for (int pair = 0; pair < kNumPairs; ++pair) {
    outputs.memories[pair] = {.cached = memories[pair].get()};
  }

  const auto hidden = model_->Decode(outputs);

  ASSERT_OK(hidden);
  ExpectPairs(*hidden, "decoder_hidden", kNumPairs);
}

TEST_P(EncoderDecodersGolden, AnOutputMayBranchFromItsBeginning) {
  const at::NoGradGuard no_grad;
  const EncoderRows inputs = Inputs(kNumPairs);
  const auto memory = model_->Encode(inputs);
  ASSERT_OK(memory);
  DecoderRows outputs = Outputs(inputs, *memory);
  // The last output in two segments.
  Segment& root = outputs.rows.segments.back();
  const int64_t begin = root.begin + 4;
  const int64_t length = root.length - 4;
  root.length = 4;
  outputs.rows.segments.push_back(
      {.begin = begin, .length = length, .parent = kNumPairs - 1});
  outputs.memories.push_back(outputs.memories.back());

  const auto hidden = model_->Decode(outputs);

  ASSERT_OK(hidden);
  ExpectPairs(*hidden, "decoder_hidden", kNumPairs);
}

TEST_P(EncoderDecodersGolden, WantedRowsAreThoseOfTheWholeBatch) {
  const at::NoGradGuard no_grad;
  const EncoderRows inputs = Inputs(kNumPairs);
  DecoderRows outputs = Outputs(inputs, *model_->Encode(inputs));
  const at::Tensor all = *model_->Decode(outputs);
  outputs.rows.wanted = {all.size(0) - 1, 0};

  const at::Tensor some = *model_->Decode(outputs);

  const at::Tensor expected =
      at::index_select(all, 0, at::tensor(outputs.rows.wanted));
  ASSERT_EQ(some.sizes(), expected.sizes());
  EXPECT_LT((some - expected).abs().max().item<double>(), kPairTolerance);
}

TEST_P(EncoderDecodersGolden, PromptGradient) {
  const at::AutoGradMode grad(true);
  const at::Tensor prompt = Golden("prompt").requires_grad_(true);

  const at::Tensor hidden = Run(Inputs(kNumPromptedPairs, prompt));
  ASSERT_TRUE(hidden.defined());
  LossOfLastPair(hidden).backward();

  EXPECT_LT(RelativeDifference(prompt.grad(), Golden("prompt_gradient")),
            kPairTolerance);
}

TEST_P(EncoderDecodersGolden, PrefixGradient) {
  const at::AutoGradMode grad(true);
  const at::Tensor keys = Golden("prefix_keys").requires_grad_(true);
  const at::Tensor values = Golden("prefix_values").requires_grad_(true);
  const KvBlock prefix(keys.unbind(0), values.unbind(0));

  const at::Tensor hidden = Run(Inputs(kNumPromptedPairs), &prefix);
  ASSERT_TRUE(hidden.defined());
  LossOfLastPair(hidden).backward();

  EXPECT_LT(RelativeDifference(keys.grad(), Golden("prefix_keys_gradient")),
            kPairTolerance);
  EXPECT_LT(RelativeDifference(values.grad(), Golden("prefix_values_gradient")),
            kPairTolerance);
}

TEST_P(EncoderDecodersGolden, GreedyOutputsInStep) {
  const at::NoGradGuard no_grad;
  const auto memories = Memories();
  ASSERT_THAT(memories, SizeIs(kNumPairs));
  std::vector<KvSequence> sequences(kNumPairs);
  std::vector<std::vector<int64_t>> greedy(kNumPairs);
  std::vector<std::vector<int64_t>> expected(kNumPairs);
  DecoderRows rows;
  for (int pair = 0; pair < kNumPairs; ++pair) {
    const at::Tensor ids = Golden("greedy_ids", pair);
    const int64_t* data = ids.const_data_ptr<int64_t>();
    expected[pair].assign(data, data + ids.numel());
    rows.rows.segments.push_back(
        {.begin = pair, .length = 1, .sequence = &sequences[pair]});
    rows.memories.push_back({.cached = memories[pair].get()});
  }
  std::vector<int64_t> last(kNumPairs, model_->config().decoder_start_token_id);

  for (size_t step = 0; step < expected[0].size(); ++step) {
    rows.rows.embeddings = model_->Embed(at::tensor(last, at::kLong));
    const auto hidden = model_->Decode(rows);
    ASSERT_OK(hidden);
    const at::Tensor best = at::argmax(model_->Logits(*hidden), 1);
    for (int pair = 0; pair < kNumPairs; ++pair) {
      last[pair] = best[pair].item<int64_t>();
      greedy[pair].push_back(last[pair]);
    }
  }

  EXPECT_EQ(greedy, expected);
  EXPECT_EQ(sequences[0].length(), static_cast<int64_t>(expected[0].size()));
}

TEST_P(EncoderDecodersGolden, TheOldSpellingOfTheConfigMeansTheSame) {
  const at::NoGradGuard no_grad;
  std::ifstream file(Concat(directory_, "/config.old.json"));
  ASSERT_TRUE(file.good());
  const std::string json{std::istreambuf_iterator<char>(file), {}};

  const auto config = ParseModelConfig(json);

  ASSERT_OK(config);
  model_ = Load(*config);
  ASSERT_NE(model_, nullptr);
  const at::Tensor hidden = Run(Inputs(kNumPairs));
  ASSERT_TRUE(hidden.defined());
  ExpectPairs(model_->Logits(hidden), "logits", kNumPairs);
}

INSTANTIATE_TEST_SUITE_P(Families, EncoderDecodersGolden,
                         testing::Values("t5", "t5_v11", "mt5"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace attune::worker
