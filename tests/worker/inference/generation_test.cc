#include "worker/inference/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::FINISH_REASON_LENGTH;
using attune::v1::FINISH_REASON_STOP;
using testing::ElementsAre;
using testing::SizeIs;

class GenerationTest : public InferenceFixture {
 protected:
  // Logits that make greedy decoding pick `id`.
  std::vector<float> Pick(int64_t id) {
    std::vector<float> logits(model_->info.config.vocab_size, 0.0f);
    logits[id] = 1.0f;
    return logits;
  }

  // Feeds the tokens of `text`; returns all pieces together.
  std::string Feed(worker::Generation& generation, const std::string& text) {
    std::string all;
    const auto encoding = model_->tokenizer->Encode(text, false);
    EXPECT_OK(encoding);
    for (int64_t id : encoding->ids) {
      if (generation.finished()) break;
      const auto piece = generation.Advance(Pick(id));
      EXPECT_OK(piece);
      all += *piece;
    }
    return all;
  }

  const std::shared_ptr<const LoadedModel> model_ = Model();
  const int64_t end_ = model_->stop_token_ids.at(0);
};

TEST_F(GenerationTest, TheWholeInputIsPendingFirstThenTheNewestToken) {
  worker::Generation generation(*model_, {1, 2, 3}, {.max_new_tokens = 5},
                                end_);
  ASSERT_THAT(generation.Steps(), SizeIs(1));
  EXPECT_THAT(generation.Steps()[0].ids, ElementsAre(1, 2, 3));
  const int64_t next = model_->tokenizer->Encode("a", false)->ids.at(0);

  ASSERT_OK(generation.Advance(Pick(next)));

  ASSERT_THAT(generation.Steps(), SizeIs(1));
  EXPECT_THAT(generation.Steps()[0].ids, ElementsAre(next));
  EXPECT_EQ(generation.num_input_tokens(), 3);
}

TEST_F(GenerationTest, TheEndTokenEndsTheTextAndIsNoPartOfIt) {
  worker::Generation generation(*model_, {1}, {.max_new_tokens = 50}, end_);
  const std::string text = Feed(generation, "some text");

  ASSERT_OK(generation.Advance(Pick(end_)));

  EXPECT_TRUE(generation.finished());
  EXPECT_EQ(generation.finish_reason(), FINISH_REASON_STOP);
  EXPECT_EQ(generation.text(), "some text");
  EXPECT_EQ(text, "some text");
}

TEST_F(GenerationTest, EndsAfterMaxNewTokens) {
  worker::Generation generation(*model_, {1}, {.max_new_tokens = 2}, end_);

  Feed(generation, "one two three four five");

  EXPECT_EQ(generation.finish_reason(), FINISH_REASON_LENGTH);
  EXPECT_EQ(generation.num_generated_tokens(), 2);
}

TEST_F(GenerationTest, AStopTextAcrossTokensEndsTheText) {
  worker::Generation generation(
      *model_, {1}, {.max_new_tokens = 50, .stop = {"ree f"}}, end_);

  const std::string text = Feed(generation, "one two three four five");

  EXPECT_EQ(text, "one two th");
  EXPECT_EQ(generation.text(), "one two th");
  EXPECT_EQ(generation.finish_reason(), FINISH_REASON_STOP);
}

TEST_F(GenerationTest, PiecesAreWholeCharacters) {
  worker::Generation generation(*model_, {1}, {.max_new_tokens = 50}, end_);
  const auto encoding = model_->tokenizer->Encode("é😀", false);
  ASSERT_OK(encoding);

  for (int64_t id : encoding->ids) {
    const auto piece = generation.Advance(Pick(id));
    ASSERT_OK(piece);
    EXPECT_TRUE(*piece == "" || *piece == "é" || *piece == "😀" ||
                *piece == "é😀")
        << *piece;
  }

  EXPECT_EQ(generation.text(), "é😀");
}

TEST_F(GenerationTest, ABeamSearchGivesItsTextAtTheEnd) {
  worker::Generation generation(*model_, {1, 2, 3},
                                {.max_new_tokens = 2, .num_beams = 3}, end_);
  EXPECT_TRUE(generation.is_beam_search());
  ASSERT_THAT(generation.Steps(), SizeIs(1));
  EXPECT_THAT(generation.Steps()[0].ids, ElementsAre(1, 2, 3));
  generation.Steps()[0].sequence->Commit(3);  // as a forward does
  const int64_t a = model_->tokenizer->Encode("a", false)->ids.at(0);

  const auto nothing = generation.Advance(Pick(a));

  ASSERT_OK(nothing);
  EXPECT_EQ(*nothing, "");
  EXPECT_FALSE(generation.finished());
  EXPECT_EQ(generation.num_generated_tokens(), 0);
  const std::vector<DecodingStep> steps = generation.Steps();
  ASSERT_THAT(steps, SizeIs(3));
  EXPECT_THAT(steps[0].ids, ElementsAre(a));

  std::vector<float> logits;
  for (const DecodingStep& step : steps) {
    step.sequence->Commit(1);
    const std::vector<float> own = Pick(a);
    logits.insert(logits.end(), own.begin(), own.end());
  }
  const auto all = generation.Advance(logits);

  ASSERT_OK(all);
  EXPECT_EQ(*all, "aa");
  EXPECT_EQ(generation.text(), "aa");
  EXPECT_EQ(generation.num_generated_tokens(), 2);
  EXPECT_EQ(generation.finish_reason(), FINISH_REASON_LENGTH);
}

TEST_F(GenerationTest, ABeamSearchMayEndAtOnce) {
  worker::Generation generation(*model_, {1},
                                {.max_new_tokens = 9, .num_beams = 2}, end_);
  generation.Steps()[0].sequence->Commit(1);
  std::vector<float> logits = Pick(end_);
  logits[end_] = 50;  // next to nothing is left for all other texts

  ASSERT_OK(generation.Advance(logits));
  for (int step = 0; step < 8 && !generation.finished(); ++step) {
    std::vector<float> more;
    for (const DecodingStep& one : generation.Steps()) {
      one.sequence->Commit(1);
      more.insert(more.end(), logits.begin(), logits.end());
    }
    ASSERT_OK(generation.Advance(more));
  }

  EXPECT_EQ(generation.text(), "");
  EXPECT_EQ(generation.num_generated_tokens(), 0);
  EXPECT_EQ(generation.finish_reason(), FINISH_REASON_STOP);
}

TEST(RoomForGeneration, IsAtMostHalfTheContext) {
  EXPECT_EQ(RoomForGeneration(10, 100), 10);
  EXPECT_EQ(RoomForGeneration(1000, 100), 50);
  EXPECT_EQ(RoomForGeneration(1000, 1), 1);
}

}  // namespace
}  // namespace attune::worker
