#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/real_models.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_smollm2_golden.py says what is in it.
constexpr char kGoldenLogits[] = "tests/golden/smollm2_135m.safetensors";
constexpr char kModel[] = "smollm2-135m-instruct";
constexpr int kNumTexts = 20;
// The first texts also stand behind a prompt, and behind keys and values.
constexpr int kNumFrontedTexts = 3;
// fp32 sums in another order move logits by about 1e-4.
constexpr double kMaxDifference = 1e-3;

// The real default model against Hugging Face transformers, both in fp32.
class Smollm2Golden : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!HasRealModel(kModel)) {
      return;
    }
    ModelStore store({.directory = RealModelsDirectory()});
    auto model = store.Load(kModel);
    ASSERT_OK(model);
    model_ = new std::shared_ptr<const LoadedModel>(*std::move(model));
    auto golden = Safetensors::Open(kGoldenLogits);
    ASSERT_OK(golden);
    golden_ = new Safetensors(*std::move(golden));
  }

  static void TearDownTestSuite() {
    delete model_;
    delete golden_;
  }

  void SetUp() override {
    if (model_ == nullptr) {
      GTEST_SKIP() << kModel << " is not in " << RealModelsDirectory()
                   << "; deploy/import_model.sh puts it there";
    }
  }

  static at::Tensor Golden(const char* name, int text) {
    return *golden_->Get(Concat(name, ".", text));
  }

  static std::vector<int64_t> GoldenIds(const char* name, int text) {
    const at::Tensor ids = Golden(name, text).to(at::kLong);
    const int64_t* data = ids.const_data_ptr<int64_t>();
    return {data, data + ids.numel()};
  }

  static at::Tensor Hidden(const std::vector<int64_t>& ids,
                           KvSequence* sequence) {
    const CausalModel& model = (*model_)->causal();
    return *model.Forward(
        {model.Embed(at::tensor(ids, at::kLong)),
         {{.length = static_cast<int64_t>(ids.size()), .sequence = sequence}}});
  }

  static inline std::shared_ptr<const LoadedModel>* model_ = nullptr;
  static inline Safetensors* golden_ = nullptr;
};

TEST_F(Smollm2Golden, TokenIdsAreTheSame) {
  for (int text = 0; text < kNumTexts; ++text) {
    const auto encoding = (*model_)->tokenizer->Encode(
        golden_->metadata().at(Concat("text.", text)), false);
    ASSERT_OK(encoding);
    EXPECT_EQ(encoding->ids, GoldenIds("ids", text)) << text;
  }
}

TEST_F(Smollm2Golden, LogitsAreTheSame) {
  at::NoGradGuard no_grad;
  double largest = 0;
  for (int text = 0; text < kNumTexts; ++text) {
    const at::Tensor hidden = Hidden(GoldenIds("ids", text), nullptr);
    const at::Tensor logits = (*model_)->causal().Logits(
        at::index_select(hidden, 0, Golden("positions", text).to(at::kLong)));
    const at::Tensor top =
        logits.gather(1, Golden("top_ids", text).to(at::kLong));
    const at::Tensor random =
        at::index_select(logits, 1, Golden("random_ids", text).to(at::kLong));
    for (const at::Tensor& difference :
         {top - Golden("top_logits", text),
          random - Golden("random_logits", text)}) {
      const double max = difference.abs().max().item<double>();
      EXPECT_LE(max, kMaxDifference) << text;
      largest = std::max(largest, max);
    }
  }
  RecordProperty("largest_difference", Concat(largest));
}

// The texts in one batch without padding, behind a prompt as the parent of all
// or behind cached keys and values.
TEST_F(Smollm2Golden, LogitsOfRaggedTextsBehindAPromptAreTheSame) {
  at::NoGradGuard no_grad;
  const CausalModel& model = (*model_)->causal();
  const at::Tensor prompt = *golden_->Get("prompt");
  const KvBlock prefix(golden_->Get("prefix_keys")->unbind(0),
                       golden_->Get("prefix_values")->unbind(0));
  for (const char* front : {"prompt", "prefix"}) {
    const bool is_prompt = std::string(front) == "prompt";
    PackedRows batch;
    std::vector<at::Tensor> rows;
    int64_t next = 0;
    if (is_prompt) {
      rows.push_back(prompt);
      batch.segments.push_back({.length = prompt.size(0)});
      next = prompt.size(0);
    }
    std::vector<int64_t> begins;
    for (int text = 0; text < kNumFrontedTexts; ++text) {
      const at::Tensor ids = Golden("ids", text).to(at::kLong);
      rows.push_back(model.Embed(ids));
      batch.segments.push_back({.begin = next,
                                .length = ids.size(0),
                                .parent = is_prompt ? 0 : -1,
                                .prefix = is_prompt ? nullptr : &prefix});
      begins.push_back(next);
      next += ids.size(0);
    }
    batch.embeddings = at::cat(rows);

    const auto hidden = model.Forward(batch);

    ASSERT_OK(hidden);
    for (int text = 0; text < kNumFrontedTexts; ++text) {
      const at::Tensor positions =
          Golden("positions", text).to(at::kLong) + begins[text];
      const at::Tensor logits =
          model.LogitsFor(at::index_select(*hidden, 0, positions),
                          Golden("random_ids", text).to(at::kLong));
      const at::Tensor difference =
          logits - *golden_->Get(Concat(front, "_logits.", text));
      EXPECT_LE(difference.abs().max().item<double>(), kMaxDifference)
          << front << " " << text;
    }
  }
}

TEST_F(Smollm2Golden, GreedyContinuationsAreTheSame) {
  at::NoGradGuard no_grad;
  for (int text = 0; text < kNumTexts; ++text) {
    const std::vector<int64_t> expected = GoldenIds("greedy", text);
    std::vector<int64_t> step = GoldenIds("ids", text);
    std::vector<int64_t> greedy;
    KvSequence sequence;
    while (greedy.size() < expected.size()) {
      const at::Tensor hidden = Hidden(step, &sequence);
      const at::Tensor logits =
          (*model_)->causal().Logits(hidden.narrow(0, hidden.size(0) - 1, 1));
      greedy.push_back(at::argmax(logits).item<int64_t>());
      step = {greedy.back()};
    }
    EXPECT_EQ(greedy, expected) << text;
  }
}

TEST_F(Smollm2Golden, ParisIsTheCapitalOfFrance) {
  const auto text = (*model_)->tokenizer->Decode(GoldenIds("greedy", 0), true);

  EXPECT_TRUE(text->starts_with(" Paris.")) << *text;
}

}  // namespace
}  // namespace attune::worker
