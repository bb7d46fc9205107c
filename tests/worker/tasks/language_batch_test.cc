#include "worker/tasks/language_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using TokenIds = std::vector<int64_t>;

const TokenIds kFirst = {20, 21, 22};
const TokenIds kSecond = {30, 31};
const TokenIds kAnswer = {40, 41};
// Packed and alone sum in another order.
constexpr double kBatchTolerance = 1e-5;

class LanguageBatchTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    at::manual_seed(7);
    rows_ = at::randn({3, 32});
  }

  const LanguageModel& model() const {
    return TinyModel(GetParam())->language();
  }
  bool is_causal() const { return model().config().kind == ModelKind::kCausal; }

  // Hidden states behind `text` and each token of `answer`, with the model's
  // own interface: [1 + answer, dim].
  at::Tensor Alone(const TokenIds& text, const TokenIds& answer) const {
    const at::Tensor input = at::cat({rows_, model().Embed(at::tensor(text))});
    const int64_t length = input.size(0);
    if (is_causal()) {
      PackedRows rows;
      rows.embeddings = at::cat({input, model().Embed(at::tensor(answer))});
      rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
      return TinyModel(GetParam())
          ->causal()
          .Forward(rows)
          ->slice(0, length - 1);
    }
    const EncoderDecoderModel& both = TinyModel(GetParam())->encoder_decoder();
    EncoderRows encoder;
    encoder.embeddings = input;
    encoder.segments = {{.begin = 0, .length = length}};
    DecoderRows decoder;
    TokenIds ids = {model().config().decoder_start_token_id};
    ids.insert(ids.end(), answer.begin(), answer.end());
    decoder.rows.embeddings = model().Embed(at::tensor(ids));
    decoder.rows.segments = {
        {.begin = 0, .length = static_cast<int64_t>(ids.size())}};
    decoder.memories = {{.begin = 0, .length = length}};
    decoder.memory = *both.Encode(encoder);
    return *both.Decode(decoder);
  }

  static void ExpectClose(const at::Tensor& ours, const at::Tensor& expected) {
    ASSERT_EQ(ours.sizes(), expected.sizes());
    EXPECT_LT((ours - expected).abs().max().item<double>(), kBatchTolerance);
  }

  at::Tensor rows_;
};

TEST_P(LanguageBatchTest, TextsBehindASharedPromptAreAsIfAlone) {
  const at::NoGradGuard no_grad;
  LanguageBatch batch(model());
  const AttachedPrompt shared = Front(rows_);
  batch.SharePrompt(shared);
  const int first = batch.AddText(kFirst, nullptr, kAnswer);
  const int second = batch.AddText(kSecond, nullptr);

  const auto hidden = batch.Run();

  ASSERT_OK(hidden);
  ExpectClose(hidden->narrow(0, batch.RowBehindText(first), 3),
              Alone(kFirst, kAnswer));
  ExpectClose(hidden->narrow(0, batch.RowBehindText(second), 1),
              Alone(kSecond, {}));
}

TEST_P(LanguageBatchTest, APromptOfItsOwnIsAsGoodAsASharedOne) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(GetParam()), rows_);
  LanguageBatch batch(model());
  const int first = batch.AddText(kFirst, &prompt);
  const int branch = batch.AddBranch(kAnswer, first);

  const auto hidden = batch.Run();

  ASSERT_OK(hidden);
  const at::Tensor expected = Alone(kFirst, kAnswer);
  ExpectClose((*hidden)[batch.RowBehindText(first)], expected[0]);
  ExpectClose((*hidden)[batch.RowOf(branch, 0)], expected[1]);
  ExpectClose((*hidden)[batch.LastRowOf(branch)], expected[2]);
}

TEST_P(LanguageBatchTest, StepsGoOnWhereTheLastOneEnded) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(GetParam()), rows_);
  KvSequence sequence;
  std::shared_ptr<const KvBlock> memory;
  TokenIds next = kFirst;
  if (!is_causal()) {
    const auto memories =
        EncodeMemories(TinyModel(GetParam())->encoder_decoder(),
                       std::vector<MemoryText>{{kFirst, &prompt}});
    ASSERT_OK(memories);
    memory = memories->front();
    next = {model().config().decoder_start_token_id};
  }
  const at::Tensor expected = Alone(kFirst, kAnswer);
  for (int64_t step = 0; step < 3; ++step) {
    LanguageBatch batch(model());
    const int segment = batch.AddStep(next, &prompt, &sequence, memory.get());

    const auto hidden = batch.Run();

    ASSERT_OK(hidden);
    ExpectClose((*hidden)[batch.LastRowOf(segment)], expected[step]);
    if (step < 2) next = {kAnswer[step]};
  }
}

TEST_P(LanguageBatchTest, CountsTheRowsThatGoThroughTheModel) {
  LanguageBatch batch(model());
  const AttachedPrompt shared = Front(rows_);
  batch.SharePrompt(shared);
  batch.AddText(kFirst, nullptr, kAnswer);
  batch.AddText(kSecond, nullptr);

  // An encoder's prompt stands before each text, and a decoder has its start.
  EXPECT_EQ(batch.num_rows(),
            is_causal() ? 3 + (3 + 2) + 2 : (3 + 3) + (1 + 2) + (3 + 2) + 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LanguageBatchTest,
                         testing::Values("tiny", "t5"), [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace attune::worker
