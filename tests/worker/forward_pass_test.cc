#include "worker/forward_pass.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

// The command's test holds the numbers against transformers; this one what
// stands where. The models are those of tests/golden, which have 96 tokens.
class ForwardPasses : public testing::Test {
 protected:
  void UseModel(const char* name) {
    const std::string directory = Concat("tests/golden/architectures/", name);
    const auto config = ReadModelConfig(directory);
    ASSERT_OK(config);
    auto checkpoint = Checkpoint::Open(directory);
    ASSERT_OK(checkpoint);
    auto model =
        LoadBaseModel(*config, *checkpoint, at::Device(at::kCPU), at::kFloat);
    ASSERT_OK(model);
    model_ = *std::move(model);
    auto golden = Safetensors::Open(Concat(directory, ".safetensors"));
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
  }

  ForwardPass Pass(const std::optional<PeftAdapter>& adapter,
                   ForwardPass::Options options = {}) const {
    auto pass = ForwardPass::Create(*model_, adapter, std::move(options));
    EXPECT_OK(pass);
    return *std::move(pass);
  }

  PeftAdapter Rows() const {
    PeftAdapter adapter;
    adapter.input_rows = *golden_->Get("prompt");
    return adapter;
  }

  static ForwardRow Row(std::vector<int64_t> ids) {
    ForwardRow row;
    row.input_ids = std::move(ids);
    return row;
  }

  static std::vector<int64_t> Ids(const at::Tensor& tensor) {
    const int64_t* data = tensor.const_data_ptr<int64_t>();
    return std::vector<int64_t>(data, data + tensor.numel());
  }

  const at::NoGradGuard no_grad_;
  std::unique_ptr<BaseModel> model_;
  std::optional<Safetensors> golden_;
};

TEST_F(ForwardPasses, ResultsAreNumberedFromTheFirst) {
  UseModel("gpt2");
  TensorMap results;

  ASSERT_OK(Pass({}).Run(std::vector{Row({6, 7}), Row({8})}, 41, results));

  EXPECT_THAT(results, UnorderedElementsAre(Pair("input_ids.41", testing::_),
                                            Pair("input_ids.42", testing::_),
                                            Pair("logits.41", testing::_),
                                            Pair("logits.42", testing::_)));
  EXPECT_THAT(Ids(results["input_ids.41"]), ElementsAre(6, 7));
  EXPECT_EQ(results["logits.41"].sizes(), (at::IntArrayRef{2, 96}));
  EXPECT_EQ(results["logits.42"].sizes(), (at::IntArrayRef{1, 96}));
}

// Not to the bit: sums of fewer rows may be taken in another order.
TEST_F(ForwardPasses, ABatchGivesWhatItsRowsGiveAlone) {
  for (const char* name : {"llama", "electra_discriminator"}) {
    UseModel(name);
    for (const bool prompted : {false, true}) {
      const ForwardPass pass = prompted ? Pass(Rows()) : Pass(std::nullopt);
      const std::vector rows = {Row({6, 7, 8, 9}), Row({10}), Row({11, 6})};
      TensorMap together;
      ASSERT_OK(pass.Run(rows, 0, together));
      for (int i = 0; i < 3; ++i) {
        TensorMap alone;
        ASSERT_OK(pass.Run(std::vector{rows[i]}, i, alone));
        const std::string logits = Concat("logits.", i);
        ASSERT_EQ(together[logits].sizes(), alone[logits].sizes());
        EXPECT_LT((together[logits] - alone[logits]).abs().max().item<float>(),
                  1e-4)
            << name << prompted << i;
      }
    }
  }
}

// A causal model's prompt is computed once, an encoder's for every input.
TEST_F(ForwardPasses, CountsTheRowsThatAreComputed) {
  UseModel("gpt2");
  EXPECT_EQ(Pass({}).NumRows(Row({6, 7})), 2);
  EXPECT_EQ(Pass(Rows()).NumRows(Row({6, 7})), 2);

  UseModel("bert");
  EXPECT_EQ(Pass({}).NumRows(Row({6, 7})), 2);
  EXPECT_EQ(Pass(Rows()).NumRows(Row({6, 7})), 6);
}

TEST_F(ForwardPasses, RowsWithAndWithoutTypesInOneBatch) {
  UseModel("bert");
  ForwardRow typed = Row({6, 7});
  typed.token_types = {0, 0};
  ForwardRow other = typed;
  other.token_types = {0, 1};
  TensorMap results;

  ASSERT_OK(
      Pass(Rows()).Run(std::vector{Row({6, 7}), typed, other}, 0, results));

  const auto state = [&](int row) {
    return results[Concat("last_hidden_state.", row)];
  };
  EXPECT_LT((state(0) - state(1)).abs().max().item<float>(), 1e-4);
  EXPECT_GT((state(1) - state(2)).abs().max().item<float>(), 1e-2);
}

TEST_F(ForwardPasses, WhatIsGeneratedEndsWithAnEndToken) {
  UseModel("gpt2");
  const std::vector rows = {Row(Ids(*golden_->Get("input_ids.2")))};
  const std::vector<int64_t> greedy = Ids(*golden_->Get("greedy_ids.2"));
  TensorMap whole;
  ASSERT_OK(
      Pass({}, {.max_new_tokens = 5, .end_tokens = {}}).Run(rows, 0, whole));
  EXPECT_EQ(Ids(whole["generated_ids.0"]),
            std::vector<int64_t>(greedy.begin(), greedy.begin() + 5));

  TensorMap ended;
  ASSERT_OK(Pass({}, {.max_new_tokens = 5, .end_tokens = {95, greedy[2]}})
                .Run(rows, 0, ended));

  EXPECT_EQ(Ids(ended["generated_ids.0"]),
            std::vector<int64_t>(greedy.begin(), greedy.begin() + 3));
}

TEST_F(ForwardPasses, AnEncoderDoesNotGenerate) {
  UseModel("bert_mlm");

  EXPECT_THAT(
      ForwardPass::Create(*model_, {}, {.max_new_tokens = 3, .end_tokens = {}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("does not generate")));
}

}  // namespace
}  // namespace attune::worker
