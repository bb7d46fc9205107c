#include "worker/models/llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/reference_llama.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const at::Device kCpu(at::kCPU);

class LlamaTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyLlama(directory_.path()));
    model_ = LoadAs(at::kFloat);
    reference_ = *ReferenceLlama::Load(directory_.path());
  }

  std::unique_ptr<CausalModel> LoadAs(at::ScalarType dtype) {
    const auto config = ReadModelConfig(directory_.path());
    auto checkpoint = Checkpoint::Open(directory_.path());
    return *LoadCausalModel(*config, *checkpoint, kCpu, dtype);
  }

  // Rows of `count` tokens that depend on `seed`.
  at::Tensor Tokens(int64_t count, int64_t seed) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < count; ++i)
      ids.push_back((seed * 37 + i * 11) % 300);
    return at::tensor(ids, at::kLong);
  }

  at::Tensor Rows(int64_t count, int64_t seed) {
    return model_->Embed(Tokens(count, seed));
  }

  // Hidden states of one sequence on its own.
  at::Tensor Alone(const at::Tensor& embeddings) {
    return reference_->Forward(embeddings.unsqueeze(0)).squeeze(0);
  }

  TempDirectory directory_;
  std::unique_ptr<CausalModel> model_;
  std::unique_ptr<ReferenceLlama> reference_;
};

TEST_F(LlamaTest, EqualsTheReference) {
  const at::Tensor rows = Rows(29, 1);

  const auto hidden = model_->Forward({rows, {{.begin = 0, .length = 29}}});

  ASSERT_OK(hidden);
  EXPECT_LT(RelativeDifference(*hidden, Alone(rows)), 1e-6);
  EXPECT_LT(RelativeDifference(model_->Logits(*hidden),
                               reference_->Logits(Alone(rows))),
            1e-6);
}

TEST_F(LlamaTest, ATreeEqualsFlattenedSequences) {
  const at::Tensor prompt = Rows(6, 1);
  const at::Tensor first = Rows(9, 2);
  const at::Tensor second = Rows(3, 3);
  const at::Tensor word = Rows(2, 4);

  const auto hidden =
      model_->Forward({at::cat({prompt, first, second, word}),
                       {{.begin = 0, .length = 6},
                        {.begin = 6, .length = 9, .parent = 0},
                        {.begin = 15, .length = 3, .parent = 0},
                        {.begin = 18, .length = 2, .parent = 1}}});

  ASSERT_OK(hidden);
  EXPECT_LT(
      RelativeDifference(hidden->narrow(0, 15, 3),
                         Alone(at::cat({prompt, second})).narrow(0, 6, 3)),
      1e-6);
  EXPECT_LT(RelativeDifference(
                hidden->narrow(0, 18, 2),
                Alone(at::cat({prompt, first, word})).narrow(0, 15, 2)),
            1e-6);
}

TEST_F(LlamaTest, PromptGradientEqualsRepeatAndPad) {
  constexpr int64_t kPrompt = 7;
  const std::vector<int64_t> lengths = {12, 1, 20, 5};
  const at::Tensor labels = at::tensor({5, 17, 250, 99}, at::kLong);
  const at::Tensor prompt = RandomTensor({kPrompt, 32}, 8) * 0.5;

  // Ours: the prompt once, the texts behind it, logits of last rows.
  const auto packed_loss = [&](const at::Tensor& p) {
    PackedRows rows;
    rows.segments = {{.begin = 0, .length = kPrompt}};
    std::vector<at::Tensor> parts = {p};
    std::vector<int64_t> last;
    int64_t begin = kPrompt;
    for (size_t i = 0; i < lengths.size(); ++i) {
      parts.push_back(Rows(lengths[i], i + 1));
      rows.segments.push_back(
          {.begin = begin, .length = lengths[i], .parent = 0});
      begin += lengths[i];
      last.push_back(begin - 1);
    }
    rows.embeddings = at::cat(parts);
    const at::Tensor hidden = *model_->Forward(rows);
    return at::cross_entropy_loss(model_->Logits(at::index_select(
                                      hidden, 0, at::tensor(last, at::kLong))),
                                  labels);
  };
  // The usual way: the prompt before every text, padded to the longest.
  const auto padded_loss = [&](const at::Tensor& p) {
    std::vector<at::Tensor> batch;
    for (size_t i = 0; i < lengths.size(); ++i) {
      batch.push_back(at::cat(
          {p, Rows(lengths[i], i + 1), at::zeros({20 - lengths[i], 32})}));
    }
    const at::Tensor hidden = reference_->Forward(at::stack(batch));
    std::vector<at::Tensor> last;
    for (size_t i = 0; i < lengths.size(); ++i) {
      last.push_back(hidden[i][kPrompt + lengths[i] - 1]);
    }
    return at::cross_entropy_loss(reference_->Logits(at::stack(last)), labels);
  };

  EXPECT_NEAR(packed_loss(prompt).item<float>(),
              padded_loss(prompt).item<float>(), 1e-5);
  const auto ours = Gradients(
      [&](const auto& in) { return packed_loss(in[0]).view({1}); }, {prompt});
  const auto expected = Gradients(
      [&](const auto& in) { return padded_loss(in[0]).view({1}); }, {prompt});
  EXPECT_LT(RelativeDifference(ours[0], expected[0]), 1e-4);
}

TEST_F(LlamaTest, DecodingEqualsTheFullForward) {
  const at::Tensor rows = Rows(12, 1);
  KvSequence sequence(/*reserve=*/2);
  std::vector<at::Tensor> parts;

  // 5 rows at once, then one by one.
  for (const auto& [begin, length] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 5}, {5, 1}, {6, 1}, {7, 4}, {11, 1}}) {
    const auto hidden =
        model_->Forward({rows.narrow(0, begin, length),
                         {{.length = length, .sequence = &sequence}}});
    ASSERT_OK(hidden);
    parts.push_back(*hidden);
  }

  EXPECT_EQ(sequence.length(), 12);
  EXPECT_LT(RelativeDifference(at::cat(parts), Alone(rows)), 1e-6);
}

TEST_F(LlamaTest, ACachedPromptEqualsPromptRows) {
  const at::Tensor prompt = Rows(6, 1);
  const at::Tensor first = Rows(4, 2);
  const at::Tensor second = Rows(8, 3);
  KvSequence sequence;

  const auto prefix = model_->BuildPrefix(prompt);
  ASSERT_OK(prefix);
  const auto hidden =
      model_->Forward({at::cat({first, second}),
                       {{.begin = 0, .length = 4, .prefix = prefix->get()},
                        {.begin = 4,
                         .length = 8,
                         .prefix = prefix->get(),
                         .sequence = &sequence}}});

  ASSERT_OK(hidden);
  EXPECT_EQ((*prefix)->length(), 6);
  EXPECT_LT(RelativeDifference(hidden->narrow(0, 0, 4),
                               Alone(at::cat({prompt, first})).narrow(0, 6, 4)),
            1e-6);
  EXPECT_LT(
      RelativeDifference(hidden->narrow(0, 4, 8),
                         Alone(at::cat({prompt, second})).narrow(0, 6, 8)),
      1e-6);
  EXPECT_EQ(sequence.length(), 8);
}

TEST_F(LlamaTest, LogitsForReadsTheSameHead) {
  const at::Tensor hidden = RandomTensor({3, 32}, 1);
  const at::Tensor ids = at::tensor({7, 299, 0}, at::kLong);

  const at::Tensor some = model_->LogitsFor(hidden, ids);

  EXPECT_THAT(some.sizes(), ElementsAre(3, 3));
  EXPECT_LT(RelativeDifference(
                some, at::index_select(model_->Logits(hidden), 1, ids)),
            1e-6);
}

TEST_F(LlamaTest, LogitGradientsReachTheHiddenRows) {
  const at::Tensor ids = at::tensor({7, 299, 0}, at::kLong);
  const std::vector<at::Tensor> inputs = {RandomTensor({3, 32}, 1)};

  const auto all = Gradients(
      [&](const auto& in) {
        return at::index_select(model_->Logits(in[0]), 1, ids);
      },
      inputs);
  const auto some = Gradients(
      [&](const auto& in) { return model_->LogitsFor(in[0], ids); }, inputs);

  EXPECT_LT(RelativeDifference(all[0], some[0]), 1e-6);
}

TEST_F(LlamaTest, Bf16WeightsStayClose) {
  const auto narrow = LoadAs(at::kBFloat16);
  const PackedRows rows = {Rows(29, 1), {{.begin = 0, .length = 29}}};

  const at::Tensor full = *model_->Forward(rows);
  const at::Tensor rounded = *narrow->Forward(rows);

  EXPECT_EQ(narrow->dtype(), at::kBFloat16);
  EXPECT_EQ(rounded.scalar_type(), at::kFloat);
  EXPECT_LT(RelativeDifference(rounded, full), 3e-2);
}

TEST_F(LlamaTest, UntiedHeadsAreReadFromTheirOwnTensor) {
  TempDirectory untied;
  TinyLlamaOptions options;
  options.tie_embeddings = false;
  options.num_shards = 2;
  ASSERT_OK(WriteTinyLlama(untied.path(), options));
  const auto config = ReadModelConfig(untied.path());
  auto checkpoint = Checkpoint::Open(untied.path());
  const auto model = LoadCausalModel(*config, *checkpoint, kCpu, at::kFloat);
  const auto reference = ReferenceLlama::Load(untied.path());
  ASSERT_OK(model);
  const at::Tensor hidden = RandomTensor({5, 32}, 1);

  EXPECT_LT(RelativeDifference((*model)->Logits(hidden),
                               (*reference)->Logits(hidden)),
            1e-6);
}

TEST_F(LlamaTest, ThreadsShareOneModel) {
  const PackedRows rows = {Rows(29, 1), {{.begin = 0, .length = 29}}};
  const at::Tensor expected = *model_->Forward(rows);
  std::vector<double> differences(3, 1.0);
  std::vector<std::thread> threads;

  for (double& difference : differences) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        difference = RelativeDifference(*model_->Forward(rows), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(differences, testing::Each(testing::Lt(1e-6)));
}

TEST_F(LlamaTest, RefusesABrokenLayout) {
  EXPECT_THAT(model_->Forward({Rows(3, 1), {{.begin = 0, .length = 2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("cover 2 of 3 rows")));
  EXPECT_THAT(model_->BuildPrefix(Rows(257, 1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("beyond the context of 256")));
  EXPECT_THAT(model_->BuildPrefix(at::Tensor()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must be [rows, 32]")));
}

TEST_F(LlamaTest, WhatLibTorchThrowsIsAStatus) {
  EXPECT_THAT(
      model_->BuildPrefix(Rows(3, 1).to(at::kLong)),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("llama forward")));
  EXPECT_THAT(
      model_->Forward({Rows(3, 1).to(at::kLong), {{.length = 3}}}),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("llama forward")));
}

TEST_F(LlamaTest, SequencesAreNotDifferentiable) {
  KvSequence sequence;
  const at::Tensor rows = Rows(3, 1).requires_grad_(true);

  EXPECT_THAT(model_->Forward({rows, {{.length = 3, .sequence = &sequence}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("differentiable")));
  EXPECT_EQ(sequence.length(), 0);
}

TEST_F(LlamaTest, NamesMissingAndSurplusTensors) {
  TensorMap tensors;
  {
    const auto file = Safetensors::Open(directory_ / "model.safetensors");
    for (const auto& [name, entry] : file->entries()) {
      tensors[name] = *file->Get(name);
    }
  }
  tensors.erase("model.layers.1.mlp.up_proj.weight");
  tensors["model.layers.1.mlp.up_proj.bias"] = at::zeros({64});
  ASSERT_OK(WriteSafetensorsFile(directory_ / "model.safetensors", tensors));
  const auto config = ReadModelConfig(directory_.path());
  auto checkpoint = Checkpoint::Open(directory_.path());

  EXPECT_THAT(
      LoadCausalModel(*config, *checkpoint, kCpu, at::kFloat),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("missing: model.layers.1.mlp.up_proj.weight"),
                     HasSubstr("surplus: model.layers.1.mlp.up_proj.bias"))));
}

}  // namespace
}  // namespace attune::worker
