#include "worker/tasks/greedy_decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

absl::Status GoOn() { return absl::OkStatus(); }

TaskInput InputOf(const TaskProgram& program, const std::string& text) {
  return *program.PrepareInput("{\"text\": \"" + text + "\"}", 1);
}

// The plain way: the whole sequence again for every token.
std::string DecodeByHand(const TaskProgram& program, std::vector<int64_t> ids,
                         int64_t max_new_tokens) {
  const at::NoGradGuard no_grad;
  const CausalModel& model = program.model().causal();
  std::vector<int64_t> answer;
  while (static_cast<int64_t>(answer.size()) < max_new_tokens) {
    const at::Tensor rows = model.Embed(at::tensor(ids));
    const at::Tensor hidden =
        *model.Forward({.embeddings = rows,
                        .segments = {{.begin = 0, .length = rows.size(0)}}});
    const int64_t token =
        at::argmax(model.Logits(hidden.slice(0, rows.size(0) - 1)))
            .item<int64_t>();
    if (token == program.end_token() || token == 0) break;
    answer.push_back(token);
    ids.push_back(token);
  }
  return *program.model().tokenizer->Decode(answer, true);
}

// The tiny model, which ends every text after `length` tokens.
class EndingModel : public CausalModel {
 public:
  explicit EndingModel(int length)
      : model_(TinyModel()->causal()), length_(length) {}

  const ModelConfig& config() const override { return model_.config(); }
  at::Device device() const override { return model_.device(); }
  at::ScalarType dtype() const override { return model_.dtype(); }
  at::Tensor Embed(const at::Tensor& ids) const override {
    return model_.Embed(ids);
  }
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override {
    return model_.Forward(rows);
  }
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& rows) const override {
    return model_.BuildPrefix(rows);
  }
  at::Tensor Logits(const at::Tensor& hidden) const override {
    at::Tensor logits = model_.Logits(hidden);
    if (num_passes_++ == length_) logits.select(1, kEnd).fill_(1e9);
    return logits;
  }
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& ids) const override {
    return model_.LogitsFor(hidden, ids);
  }

 private:
  static constexpr int64_t kEnd = 2;

  const CausalModel& model_;
  const int length_;
  mutable int num_passes_ = 0;
};

std::unique_ptr<const TaskProgram> ProgramThatEndsAfter(int length) {
  auto loaded = std::make_shared<LoadedModel>();
  loaded->info = TinyModel()->info;
  loaded->model = std::make_unique<EndingModel>(length);
  loaded->tokenizer = *Tokenizer::FromJson(TinyTokenizerJson());
  loaded->eos_token = TinyModel()->eos_token;
  loaded->stop_token_ids = TinyModel()->stop_token_ids;
  return *TaskProgram::Compile(TextTask(12), loaded, /*num_prompt_rows=*/0);
}

TEST(GreedyDecoder, KeepsWhatStandsBeforeTheEndOfText) {
  const auto free = CompileTask(TextTask(12));
  const TaskInput input = InputOf(*free, "it is");
  const std::string expected = DecodeByHand(*free, input.ids, 5);
  ASSERT_FALSE(expected.empty());

  const auto program = ProgramThatEndsAfter(5);

  EXPECT_EQ((*DecodeGreedily(*program, nullptr, {&input}, GoOn))[0], expected);
}

TEST(GreedyDecoder, AnAnswerMayBeEmpty) {
  const auto program = ProgramThatEndsAfter(0);
  const TaskInput input = InputOf(*program, "it is");

  EXPECT_EQ((*DecodeGreedily(*program, nullptr, {&input}, GoOn))[0], "");
}

TEST(GreedyDecoder, EqualsWholeSequencesByHand) {
  const auto program = CompileTask(TextTask(12));
  const TaskInput first = InputOf(*program, "it is");
  const TaskInput second = InputOf(*program, "the other and the one");

  const std::vector<std::string> texts =
      *DecodeGreedily(*program, nullptr, {&first, &second}, GoOn);

  EXPECT_EQ(texts[0], DecodeByHand(*program, first.ids, 12));
  EXPECT_EQ(texts[1], DecodeByHand(*program, second.ids, 12));
}

TEST(GreedyDecoder, EndsBeforeAStopText) {
  attune::v1::TaskSpec task = TextTask(12);
  const auto free = CompileTask(task);
  const TaskInput input = InputOf(*free, "it is");
  const std::string whole =
      (*DecodeGreedily(*free, nullptr, {&input}, GoOn))[0];
  ASSERT_GE(whole.size(), 6u);
  const std::string stop = whole.substr(3, 2);
  task.mutable_decoding()->add_stop(stop);
  const auto program = CompileTask(task);

  EXPECT_EQ((*DecodeGreedily(*program, nullptr, {&input}, GoOn))[0],
            whole.substr(0, whole.find(stop)));
}

TEST(GreedyDecoder, EndsWhereTheContextIsFull) {
  const auto program = CompileTask(TextTask(200));
  TaskInput input = InputOf(*program, "it is");
  input.ids.resize(250, 50);

  int passes = 0;
  ASSERT_OK(DecodeGreedily(*program, nullptr, {&input}, [&] {
    ++passes;
    return absl::OkStatus();
  }));

  EXPECT_LE(passes, 6);
}

TEST(GreedyDecoder, StopsWhenTheCallerSaysSo) {
  const auto program = CompileTask(TextTask(12));
  const TaskInput input = InputOf(*program, "it is");

  EXPECT_THAT(
      DecodeGreedily(*program, nullptr, {&input},
                     [] { return MakeError(Reason::kCancelled, "enough"); }),
      ReasonIs(Reason::kCancelled, HasSubstr("enough")));
}

}  // namespace
}  // namespace attune::worker
