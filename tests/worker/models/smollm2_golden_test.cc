#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_smollm2_golden.py says what is in it.
constexpr char kGoldenLogits[] = "tests/golden/smollm2_135m.safetensors";
constexpr char kModel[] = "smollm2-135m-instruct";
constexpr int kNumTexts = 20;
// fp32 sums in another order move logits by about 1e-4.
constexpr double kMaxDifference = 1e-3;

std::string ModelsDirectory() {
  const char* set = std::getenv("ATTUNE_MODELS_DIR");
  return set != nullptr ? set : ".attune/models";
}

// The real default model against Hugging Face transformers, both in fp32.
class Smollm2Golden : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(
            Concat(ModelsDirectory(), "/", kModel, "/config.json"))) {
      return;
    }
    ModelStore store({.directory = ModelsDirectory()});
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
      GTEST_SKIP() << kModel << " is not in " << ModelsDirectory()
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
    const CausalModel& model = *(*model_)->model;
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
    const at::Tensor logits = (*model_)->model->Logits(
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
          (*model_)->model->Logits(hidden.narrow(0, hidden.size(0) - 1, 1));
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
