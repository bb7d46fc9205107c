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
  const std::vector<int> texts = batch.AddTexts(std::vector<BatchText>{
      {.text = kFirst, .following = kAnswer}, {.text = kSecond}});

  const int64_t first = batch.RowBehindText(texts[0]);
  const auto hidden =
      batch.Run({first, first + 1, first + 2, batch.RowBehindText(texts[1])});

  ASSERT_OK(hidden);
  ExpectClose(hidden->narrow(0, 0, 3), Alone(kFirst, kAnswer));
  ExpectClose(hidden->narrow(0, 3, 1), Alone(kSecond, {}));
}

TEST_P(LanguageBatchTest, APromptOfItsOwnIsAsGoodAsASharedOne) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(GetParam()), rows_);
  LanguageBatch batch(model());
  const int first = batch.AddTexts(
      std::vector<BatchText>{{.text = kFirst, .prompt = &prompt}})[0];
  const int branch = batch.AddBranch(kAnswer, first);

  const auto hidden =
      batch.Run({batch.RowBehindText(first), batch.RowOf(branch, 0),
                 batch.LastRowOf(branch)});

  ASSERT_OK(hidden);
  ExpectClose(*hidden, Alone(kFirst, kAnswer));
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

    const auto hidden = batch.Run({batch.LastRowOf(segment)});

    ASSERT_OK(hidden);
    ExpectClose((*hidden)[0], expected[step]);
    if (step < 2) next = {kAnswer[step]};
  }
}

TEST_P(LanguageBatchTest, CountsTheRowsThatGoThroughTheModel) {
  LanguageBatch batch(model());
  const AttachedPrompt shared = Front(rows_);
  batch.SharePrompt(shared);
  batch.AddTexts(std::vector<BatchText>{{.text = kFirst, .following = kAnswer},
                                        {.text = kSecond}});

  // An encoder's prompt stands before each text, and a decoder has its start.
  EXPECT_EQ(batch.num_rows(),
            is_causal() ? 3 + (3 + 2) + 2 : (3 + 3) + (1 + 2) + (3 + 2) + 1);
}

// Texts of a template: ten words of it, then what a row has.
std::vector<TokenIds> TextsOfATemplate() {
  std::vector<TokenIds> texts;
  for (const TokenIds& own : {TokenIds{20, 21, 22}, {30, 31}, {20}}) {
    TokenIds text = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59};
    text.insert(text.end(), own.begin(), own.end());
    texts.push_back(std::move(text));
  }
  return texts;
}

TEST_P(LanguageBatchTest, RunsACommonBeginningOnceWhereThatIsExact) {
  const at::NoGradGuard no_grad;
  const std::vector<TokenIds> texts = TextsOfATemplate();
  const AttachedPrompt own = *AttachPrompt(*TinyModel(GetParam()), rows_);
  const AttachedPrompt in_graph = Front(rows_);
  for (const AttachedPrompt* prompt : {&own, &in_graph}) {
    LanguageBatch batch(model());
    const bool shared = prompt == &in_graph;
    if (shared) batch.SharePrompt(*prompt);
    std::vector<BatchText> added;
    for (const TokenIds& text : texts) {
      added.push_back({.text = text,
                       .prompt = shared ? nullptr : prompt,
                       .following = kAnswer});
    }

    const std::vector<int> segments = batch.AddTexts(added);
    std::vector<int64_t> wanted;
    for (int segment : segments) {
      const int64_t first = batch.RowBehindText(segment);
      wanted.insert(wanted.end(), {first, first + 1, first + 2});
    }
    const auto hidden = batch.Run(wanted);

    ASSERT_OK(hidden);
    for (size_t i = 0; i < texts.size(); ++i) {
      ExpectClose(hidden->narrow(0, 3 * static_cast<int64_t>(i), 3),
                  Alone(texts[i], kAnswer));
    }
    if (is_causal()) {
      EXPECT_EQ(batch.num_rows(),
                (shared ? 3 : 0) + 10 + (3 + 2) + (2 + 2) + (1 + 2));
    }
  }
}

TEST_P(LanguageBatchTest, RunsACommonBeginningOfEachTextWhereAsked) {
  const std::vector<TokenIds> texts = TextsOfATemplate();
  std::vector<BatchText> added;
  for (const TokenIds& text : texts) added.push_back({.text = text});
  LanguageBatch batch(model());

  batch.AddTexts(added, /*share_beginnings=*/false);

  EXPECT_EQ(batch.num_rows(), 13 + 12 + 11 + (is_causal() ? 0 : 3));
}

TEST(SharedBeginning, LeavesEveryTextAToken) {
  const TokenIds text = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

  EXPECT_EQ(SharedBeginning({text, text, text}), 9);
}

TEST(SharedBeginning, EndsWhereTextsDiffer) {
  const TokenIds first = {1, 2, 3, 4, 5, 6};
  const TokenIds second = {1, 2, 3, 4, 9, 6};

  EXPECT_EQ(SharedBeginning({first, first, second, first}), 4);
  EXPECT_EQ(SharedBeginning({second, TokenIds{2, 2, 3}, first}), 0);
}

TEST(SharedBeginning, IsNotMadeWhereItSavesNextToNothing) {
  const TokenIds text = {1, 2, 3, 4, 5, 6};

  EXPECT_EQ(SharedBeginning({text}), 0);
  EXPECT_EQ(SharedBeginning({text, text}), 0);
  EXPECT_EQ(SharedBeginning({text, text, text}), 5);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LanguageBatchTest,
                         testing::Values("tiny", "t5"), [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace attune::worker
