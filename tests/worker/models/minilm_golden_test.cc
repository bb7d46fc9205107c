#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/real_models.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_minilm_golden.py says what is in it.
constexpr char kMinilmNumbers[] = "tests/golden/minilm_l6.safetensors";
constexpr char kMinilm[] = "all-minilm-l6-v2";
constexpr int kNumMinilmTexts = 9;
constexpr int kNumPromptedTexts = 3;
// fp32 sums in another order move hidden states of order one by about 1e-6 a
// layer.
constexpr double kMinilmTolerance = 1e-3;

// The real default encoder against Hugging Face transformers, both in fp32.
class MinilmGolden : public testing::Test {
 protected:
  struct Batch {
    EncoderRows rows;
    std::vector<int64_t> begins;  // first row of each text
  };

  static void SetUpTestSuite() {
    if (!HasRealModel(kMinilm)) {
      return;
    }
    ModelStore store({.directory = RealModelsDirectory()});
    auto model = store.Load(kMinilm);
    ASSERT_OK(model);
    model_ = new std::shared_ptr<const LoadedModel>(*std::move(model));
    auto golden = Safetensors::Open(kMinilmNumbers);
    ASSERT_OK(golden);
    golden_ = new Safetensors(*std::move(golden));
  }

  static void TearDownTestSuite() {
    delete model_;
    delete golden_;
  }

  void SetUp() override {
    if (model_ == nullptr) {
      GTEST_SKIP() << kMinilm << " is not in " << RealModelsDirectory()
                   << "; deploy/setup.sh puts it there";
    }
  }

  static at::Tensor Golden(const std::string& name) {
    return *golden_->Get(name);
  }
  static at::Tensor Golden(const char* name, int text) {
    return Golden(Concat(name, ".", text));
  }

  // The first `count` texts behind each other.
  static Batch Texts(int count, const at::Tensor& prompt = {},
                     const KvBlock* prefix = nullptr) {
    Batch batch;
    std::vector<at::Tensor> rows;
    int64_t begin = 0;
    for (int text = 0; text < count; ++text) {
      const at::Tensor ids = Golden("ids", text).to(at::kLong);
      int64_t length = ids.size(0);
      if (prompt.defined()) {
        rows.push_back(prompt);
        length += prompt.size(0);
      }
      rows.push_back((*model_)->model->Embed(ids));
      batch.begins.push_back(begin);
      batch.rows.segments.push_back(
          {.begin = begin, .length = length, .prefix = prefix});
      begin += length;
    }
    batch.rows.embeddings = at::cat(rows);
    return batch;
  }

  static void ExpectAllRows(const Batch& batch, const char* name) {
    const auto hidden = (*model_)->encoder().Forward(batch.rows);
    ASSERT_OK(hidden);
    for (size_t i = 0; i < batch.begins.size(); ++i) {
      const at::Tensor ours =
          hidden->narrow(0, batch.begins[i], batch.rows.segments[i].length);
      const at::Tensor expected = Golden(name, static_cast<int>(i));
      ASSERT_EQ(ours.sizes(), expected.sizes());
      EXPECT_LT((ours - expected).abs().max().item<double>(), kMinilmTolerance)
          << name << " " << i;
    }
  }

  static inline std::shared_ptr<const LoadedModel>* model_ = nullptr;
  static inline Safetensors* golden_ = nullptr;
};

TEST_F(MinilmGolden, TokenIdsAreTheSame) {
  for (int text = 0; text < kNumMinilmTexts; ++text) {
    const auto encoding = (*model_)->tokenizer->Encode(
        golden_->metadata().at(Concat("text.", text)),
        /*add_special_tokens=*/true);
    ASSERT_OK(encoding);
    const at::Tensor expected = Golden("ids", text).to(at::kLong);
    const int64_t* data = expected.const_data_ptr<int64_t>();
    EXPECT_EQ(encoding->ids,
              std::vector<int64_t>(data, data + expected.numel()))
        << text;
  }
}

TEST_F(MinilmGolden, HiddenStatesOfRaggedTextsInOneBatchAreTheSame) {
  const at::NoGradGuard no_grad;
  const Batch batch = Texts(kNumMinilmTexts);

  const auto hidden = (*model_)->encoder().Forward(batch.rows);

  ASSERT_OK(hidden);
  double largest = 0;
  for (int text = 0; text < kNumMinilmTexts; ++text) {
    const at::Tensor rows =
        Golden("rows", text).to(at::kLong) + batch.begins[text];
    const double difference =
        (at::index_select(*hidden, 0, rows) - Golden("hidden", text))
            .abs()
            .max()
            .item<double>();
    EXPECT_LT(difference, kMinilmTolerance) << text;
    largest = std::max(largest, difference);
  }
  RecordProperty("largest_difference", Concat(largest));
}

TEST_F(MinilmGolden, HiddenStatesBehindASoftPromptAreTheSame) {
  const at::NoGradGuard no_grad;

  ExpectAllRows(Texts(kNumPromptedTexts, Golden("prompt")), "prompt_hidden");
}

TEST_F(MinilmGolden, HiddenStatesBehindKeysAndValuesAreTheSame) {
  const at::NoGradGuard no_grad;
  const KvBlock prefix(Golden("prefix_keys").unbind(0),
                       Golden("prefix_values").unbind(0));

  ExpectAllRows(Texts(kNumPromptedTexts, {}, &prefix), "prefix_hidden");
}

}  // namespace
}  // namespace attune::worker
