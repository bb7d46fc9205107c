#include "worker/tasks/beam_decoding.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

void SearchWith(const LanguageModel& model, const KvBlock* memory,
                BeamDecoding& decoding) {
  const at::NoGradGuard no_grad;
  while (!decoding.finished()) {
    LanguageBatch batch(model);
    std::vector<int64_t> rows;
    for (const DecodingStep& step : decoding.Steps()) {
      rows.push_back(batch.LastRowOf(
          batch.AddStep(step.ids, nullptr, step.sequence, memory)));
    }
    const auto hidden = batch.Run(std::move(rows));
    ASSERT_OK(hidden);
    const at::Tensor logits = model.Logits(*hidden).contiguous();
    ASSERT_OK(decoding.Advance(
        {logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())}));
  }
}

std::unique_ptr<const LanguageModel> LoadGolden(const std::string& name) {
  const std::string directory = Concat("tests/golden/architectures/", name);
  const auto config = ReadModelConfig(directory);
  EXPECT_OK(config);
  auto checkpoint = Checkpoint::Open(directory);
  EXPECT_OK(checkpoint);
  const at::Device cpu(at::kCPU);
  if (config->kind == ModelKind::kEncoderDecoder) {
    return *LoadEncoderDecoderModel(*config, *checkpoint, cpu, at::kFloat);
  }
  return *LoadCausalModel(*config, *checkpoint, cpu, at::kFloat);
}

class BeamsGolden : public testing::TestWithParam<const char*> {};

TEST_P(BeamsGolden, FindsWhatTransformersFinds) {
  std::ifstream file("tests/golden/beams.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file);
  const auto model = LoadGolden(GetParam());
  const auto tokenizer = TinyModel();  // no text is compared
  int num_cases = 0;
  int num_ended = 0;
  for (const nlohmann::json& one : cases) {
    if (one["model"] != GetParam()) continue;
    SCOPED_TRACE(one.dump());
    const auto input = one["input"].get<std::vector<int64_t>>();
    BeamDecoding decoding(
        *tokenizer->tokenizer,
        {.num_beams = one["num_beams"],
         .length_penalty = one["length_penalty"],
         .max_new_tokens = one["max_new_tokens"],
         .end_tokens = one["end_tokens"].get<std::vector<int64_t>>()},
        {}, input);
    std::shared_ptr<const KvBlock> memory;
    if (model->config().kind == ModelKind::kEncoderDecoder) {
      const auto memories =
          EncodeMemories(AsEncoderDecoder(*model), {{.text = input}});
      ASSERT_OK(memories);
      memory = memories->front();
      decoding.BeginApart(model->config().decoder_start_token_id);
    }

    SearchWith(*model, memory.get(), decoding);

    EXPECT_EQ(decoding.best().ids, one["ids"].get<std::vector<int64_t>>());
    EXPECT_EQ(decoding.best().ended, one["ended"].get<bool>());
    EXPECT_NEAR(decoding.best().score, one["score"].get<double>(), 1e-4);
    ++num_cases;
    num_ended += one["ended"].get<bool>() ? 1 : 0;
  }
  EXPECT_GE(num_cases, 40);
  EXPECT_GE(num_ended, 5);
}

INSTANTIATE_TEST_SUITE_P(Models, BeamsGolden,
                         testing::Values("llama", "gpt2", "gemma3_text", "t5"),
                         [](const auto& info) { return info.param; });

class BeamDecodingTest : public testing::Test {
 protected:
  // Logits that make `best` likeliest and `second` next.
  std::vector<float> Pick(int64_t best, int64_t second) const {
    std::vector<float> logits(model_->info.config.vocab_size, 0.0f);
    logits[best] = 9;
    logits[second] = 8;
    return logits;
  }
  int64_t IdOf(const std::string& text) const {
    return model_->tokenizer->Encode(text, false)->ids.at(0);
  }
  // As a forward would do.
  static void Run(BeamDecoding& decoding) {
    for (const DecodingStep& step : decoding.Steps()) {
      step.sequence->Commit(static_cast<int64_t>(step.ids.size()));
    }
  }
  BeamDecoding Begin(std::vector<std::string> stops,
                     int64_t max_new_tokens = 9) const {
    return BeamDecoding(
        *model_->tokenizer,
        {.num_beams = 2, .max_new_tokens = max_new_tokens, .end_tokens = {2}},
        std::move(stops), {1, 5, 7});
  }

  const std::shared_ptr<const LoadedModel> model_ = TinyModel();
  const int64_t a_ = IdOf("a");
  const int64_t b_ = IdOf("b");
};

TEST_F(BeamDecodingTest, BeginsWithTheInputAndGoesOnWithTheNewestTokens) {
  BeamDecoding decoding = Begin({});
  ASSERT_THAT(decoding.Steps(), SizeIs(1));
  EXPECT_THAT(decoding.Steps()[0].ids, ElementsAre(1, 5, 7));
  Run(decoding);

  ASSERT_OK(decoding.Advance(Pick(a_, b_)));

  const std::vector<DecodingStep> steps = decoding.Steps();
  ASSERT_THAT(steps, SizeIs(2));
  EXPECT_THAT(steps[0].ids, ElementsAre(a_));
  EXPECT_THAT(steps[1].ids, ElementsAre(b_));
  EXPECT_NE(steps[0].sequence, steps[1].sequence);
  EXPECT_EQ(steps[0].sequence->length(), 3);
  EXPECT_EQ(steps[1].sequence->length(), 3);
}

TEST_F(BeamDecodingTest, AnEncodersInputIsNotTheDecoders) {
  BeamDecoding decoding = Begin({});

  decoding.BeginApart(0);

  ASSERT_THAT(decoding.Steps(), SizeIs(1));
  EXPECT_THAT(decoding.Steps()[0].ids, ElementsAre(0));
}

TEST_F(BeamDecodingTest, ATextEndsBeforeAStopText) {
  BeamDecoding decoding = Begin({"ba", "zz"});
  std::vector<float> both;
  Run(decoding);
  ASSERT_OK(decoding.Advance(Pick(b_, a_)));
  // Both beams go on with "a": "ba" has ended, "aa" has not.
  for (int step = 0; step < 8 && !decoding.finished(); ++step) {
    Run(decoding);
    both.clear();
    for (size_t i = 0; i < decoding.num_steps(); ++i) {
      const std::vector<float> own = Pick(a_, b_);
      both.insert(both.end(), own.begin(), own.end());
    }
    ASSERT_OK(decoding.Advance(both));
  }

  ASSERT_TRUE(decoding.finished());
  const auto text = decoding.Text();
  ASSERT_OK(text);
  EXPECT_EQ(text->text.find("ba"), std::string::npos);
  EXPECT_EQ(decoding.best().ended, text->ended);
  EXPECT_EQ(text->num_tokens, static_cast<int64_t>(decoding.best().ids.size()));
}

TEST_F(BeamDecodingTest, ATextThatIsCutSaysSo) {
  BeamDecoding decoding = Begin({}, /*max_new_tokens=*/1);
  Run(decoding);

  ASSERT_OK(decoding.Advance(Pick(a_, b_)));

  ASSERT_TRUE(decoding.finished());
  const auto text = decoding.Text();
  ASSERT_OK(text);
  EXPECT_EQ(text->text, "a");
  EXPECT_EQ(text->num_tokens, 1);
  EXPECT_FALSE(text->ended);
}

}  // namespace
}  // namespace attune::worker
