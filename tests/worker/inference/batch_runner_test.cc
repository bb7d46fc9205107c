#include "worker/inference/batch_runner.h"

#include <ATen/ops/full_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <optional>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_llama.h"
#include "tests/testing/tiny_t5.h"
#include "tests/worker/inference/inference_fixture.h"
#include "worker/tasks/beam_decoder.h"

namespace attune::worker {
namespace {

using attune::v1::PredictResult;
using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = std::optional<absl::StatusOr<PredictResult>>;

class BatchRunnerTest : public InferenceFixture {
 protected:
  // Adds an input; its outcome appears in the result once there is one.
  // `change` may spoil it.
  std::shared_ptr<Outcome> Add(
      BatchRunner& runner, const InferenceTarget& target,
      const InferenceInput& input,
      std::shared_ptr<CallContext> context = std::make_shared<CallContext>(),
      const std::function<void(WorkItem&)>& change = [](WorkItem&) {}) {
    const auto resolved = resolver_.Resolve(target);
    EXPECT_OK(resolved);
    auto item = PrepareWork(*resolved, input, inference_metrics_);
    EXPECT_OK(item);
    auto outcome = std::make_shared<Outcome>();
    (*item)->origin.context = std::move(context);
    (*item)->origin.arrival = clock_.Monotonic();
    (*item)->origin.done = [outcome](absl::StatusOr<PredictResult> result) {
      EXPECT_FALSE(outcome->has_value()) << "answered twice";
      *outcome = std::move(result);
    };
    (*item)->origin.on_piece = [this](GeneratedPiece piece) {
      pieces_ += piece.text;
      ++num_pieces_;
    };
    change(**item);
    runner.Add(*std::move(item));
    return outcome;
  }

  // Adds an input that no forward takes.
  std::shared_ptr<Outcome> AddTooLong(BatchRunner& runner,
                                      const InferenceTarget& target) {
    return Add(runner, target, Text("x"), std::make_shared<CallContext>(),
               [this](WorkItem& item) {
                 const int64_t context = Model()->info.config.context_length;
                 item.input.ids.assign(context + 1, 1);
               });
  }

  void RunAll(BatchRunner& runner) {
    for (int i = 0; i < 1000 && !runner.idle(); ++i) runner.Step();
    EXPECT_TRUE(runner.idle());
  }

  // The answer of an input that runs alone.
  PredictResult Alone(const InferenceTarget& target,
                      const InferenceInput& input) {
    BatchRunner runner({}, clock_);
    const auto outcome = Add(runner, target, input);
    RunAll(runner);
    EXPECT_OK(**outcome);
    return ***outcome;
  }

  // Equal but for rounding: another batch multiplies in another order.
  static void ExpectSame(const PredictResult& a, const PredictResult& b) {
    ASSERT_EQ(a.answer().label().label(), b.answer().label().label());
    ASSERT_EQ(a.answer().label().scores_size(),
              b.answer().label().scores_size());
    for (int i = 0; i < a.answer().label().scores_size(); ++i) {
      EXPECT_EQ(a.answer().label().scores(i).label(),
                b.answer().label().scores(i).label());
      EXPECT_NEAR(a.answer().label().scores(i).score(),
                  b.answer().label().scores(i).score(), 1e-5);
    }
    EXPECT_EQ(a.num_input_tokens(), b.num_input_tokens());
    EXPECT_EQ(a.prompt_version(), b.prompt_version());
  }

  // Expects that one pass answers every text for every target as it is answered
  // alone.
  void ExpectOnePassAnswersAsAlone(const std::vector<InferenceTarget>& targets,
                                   const std::vector<std::string>& texts) {
    BatchRunner runner({}, clock_);
    std::vector<std::shared_ptr<Outcome>> outcomes;
    std::vector<PredictResult> alone;
    for (const std::string& text : texts) {
      for (const InferenceTarget& target : targets) {
        alone.push_back(Alone(target, Text(text)));
        outcomes.push_back(Add(runner, target, Text(text)));
      }
    }

    runner.Step();

    EXPECT_TRUE(runner.idle());
    for (size_t i = 0; i < outcomes.size(); ++i) {
      ASSERT_OK(**outcomes[i]);
      ExpectSame(***outcomes[i], alone[i]);
    }
  }

  // An input that is decoded by beams.
  static InferenceInput Beams(const std::string& text, int num_beams) {
    InferenceInput input = Text(text);
    input.decoding.set_num_beams(num_beams);
    return input;
  }

  // What an evaluation decodes of the same.
  std::string Decoded(const InferenceTarget& target,
                      const InferenceInput& input) {
    InferenceTarget own = target;
    own.task.mutable_decoding()->MergeFrom(input.decoding);
    const auto resolved = resolver_.Resolve(own);
    EXPECT_OK(resolved);
    auto item = PrepareWork(
        *resolved, Text(input.fields.fields().at("text").string_value()),
        inference_metrics_);
    EXPECT_OK(item);
    const auto texts =
        DecodeByBeams(*(*resolved)->program, (*resolved)->attached(),
                      {&(*item)->input}, [] { return absl::OkStatus(); });
    EXPECT_OK(texts);
    return texts->front();
  }

  std::string pieces_;
  int num_pieces_ = 0;
};

TEST_F(BatchRunnerTest, AMixedBatchAnswersAsEachInputAlone) {
  const std::vector<InferenceTarget> targets = {
      Classification({"good", "bad"}),
      WithPrompt(Classification({"good", "bad"}), 1),
      WithPrompt(Classification({"card lost", "card", "refund please"}), 2)};

  ExpectOnePassAnswersAsAlone(
      targets, {"short", "a somewhat longer text than that", "x"});
}

InferenceTarget AtMarkers(InferenceTarget target, const std::string& source) {
  target.task.set_template_(source);
  target.task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  return target;
}

TEST_F(BatchRunnerTest, RowsAtMarkersAnswerBesideOthersAsAlone) {
  const std::string middle =
      "Text: {{ soft_prompt }}{{ text }}\n{{ soft_prompt }}Label:";
  const std::vector<InferenceTarget> targets = {
      WithPrompt(AtMarkers(Classification({"good", "bad"}), middle), 1),
      WithPrompt(AtMarkers(Classification({"good", "bad"}), middle), 2),
      WithPrompt(Classification({"good", "bad"}), 1)};

  ExpectOnePassAnswersAsAlone(targets,
                              {"short", "a somewhat longer text than that"});
  EXPECT_NE(Alone(targets[0], Text("short")).answer().label().score(),
            Alone(targets[1], Text("short")).answer().label().score());
}

TEST_F(BatchRunnerTest, AMarkerInFrontIsAPromptInFront) {
  const InferenceTarget front = Classification({"good", "bad"});
  const InferenceTarget marked =
      AtMarkers(front, "{{ soft_prompt }}" + front.task.template_());

  ExpectSame(Alone(WithPrompt(marked, 1), Text("a fine day")),
             Alone(WithPrompt(front, 1), Text("a fine day")));
  const InferenceTarget text = Generation(8);
  EXPECT_EQ(
      Alone(WithPrompt(AtMarkers(text, "{{ soft_prompt }}{{ text }}"), 1),
            Text("a fine day"))
          .answer()
          .text()
          .text(),
      Alone(WithPrompt(text, 1), Text("a fine day")).answer().text().text());
}

TEST_F(BatchRunnerTest, WordsAtAMaskAnswerAsEachInputAlone) {
  ASSERT_OK(WriteTinyBert(directory_ / "masked", /*fills_masks=*/true));
  InferenceTarget words = Classification({"good", "very bad"});
  words.model = "models/masked";
  words.task.set_template_("{{ text }} It was {{ mask }}.");
  words.task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  InferenceTarget others = words;
  others.task.mutable_labels(0)->add_words("all right");

  ExpectOnePassAnswersAsAlone({words, others},
                              {"short", "a somewhat longer text than that"});
  EXPECT_NE(Alone(words, Text("short")).answer().label().score(),
            Alone(others, Text("short")).answer().label().score());
}

TEST_F(BatchRunnerTest, ACalibrationSetsScoresRightAndWithholdsAnswers) {
  InferenceTarget target = Classification({"good", "bad"});
  const attune::v1::LabelAnswer plain =
      Alone(target, Text("hello")).answer().label();
  const bool good_first = plain.label() == "good";
  auto& calibration = *target.task.mutable_calibration();
  // The likelier one is expected anyway, by its own probability.
  for (const int place : {good_first ? 0 : 1, good_first ? 1 : 0}) {
    calibration.add_log_priors(std::log(plain.scores(place).score()));
  }

  const attune::v1::LabelAnswer even =
      Alone(target, Text("hello")).answer().label();
  calibration.set_abstain_below(0.6);
  const attune::v1::LabelAnswer withheld =
      Alone(target, Text("hello")).answer().label();

  EXPECT_NEAR(even.score(), 0.5, 1e-5);
  EXPECT_FALSE(even.abstained());
  EXPECT_FALSE(even.label().empty());
  EXPECT_TRUE(withheld.abstained());
  EXPECT_EQ(withheld.label(), "");
  EXPECT_EQ(withheld.scores_size(), 2);
  EXPECT_NEAR(withheld.score(), 0.5, 1e-5);
}

TEST_F(BatchRunnerTest, ChoicesAndLabelsAnswerInOnePassAsEachAlone) {
  const InferenceTarget labels = Classification({"good", "bad"});
  const std::vector<InferenceTarget> targets = {
      MultipleChoice(), WithPrompt(MultipleChoice(), 1)};
  const std::vector<InferenceInput> inputs = {
      TextWithChoices("short", {"it is", "the"}),
      TextWithChoices("a somewhat longer text", {"a", "7 it", "and the 1"})};
  BatchRunner runner({}, clock_);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  std::vector<PredictResult> alone;
  for (const InferenceTarget& target : targets) {
    for (const InferenceInput& input : inputs) {
      alone.push_back(Alone(target, input));
      outcomes.push_back(Add(runner, target, input));
    }
  }
  const auto label = Add(runner, labels, Text("short"));

  runner.Step();

  EXPECT_TRUE(runner.idle());  // one pass for all of them
  EXPECT_TRUE((**label)->answer().has_label());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_OK(**outcomes[i]);
    const attune::v1::ChoiceAnswer& answer = (***outcomes[i]).answer().choice();
    const attune::v1::ChoiceAnswer& expected = alone[i].answer().choice();
    EXPECT_EQ(answer.index(), expected.index());
    EXPECT_EQ(answer.text(), expected.text());
    ASSERT_EQ(answer.scores_size(), i % 2 == 0 ? 2 : 3);
    double sum = 0;
    for (int c = 0; c < answer.scores_size(); ++c) {
      // Another batch multiplies in another order.
      EXPECT_NEAR(answer.scores(c), expected.scores(c), 1e-5);
      EXPECT_LE(answer.scores(c), answer.score());
      sum += answer.scores(c);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_EQ(answer.score(), answer.scores(answer.index()));
    EXPECT_EQ(answer.text(), inputs[i % 2]
                                 .fields.fields()
                                 .at("choices")
                                 .list_value()
                                 .values(answer.index())
                                 .string_value());
  }
}

TEST_F(BatchRunnerTest, ScoresAddUpToOneAndFall) {
  const PredictResult result =
      Alone(Classification({"card lost", "card", "other"}), Text("hello"));

  double sum = 0;
  double last = 1;
  for (const auto& score : result.answer().label().scores()) {
    EXPECT_LE(score.score(), last);
    last = score.score();
    sum += score.score();
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_EQ(result.answer().label().label(),
            result.answer().label().scores(0).label());
}

TEST_F(BatchRunnerTest, PromptsMakeADifference) {
  const PredictResult one =
      Alone(WithPrompt(Classification({"good", "bad"}), 1), Text("x"));
  const PredictResult two =
      Alone(WithPrompt(Classification({"good", "bad"}), 2), Text("x"));

  EXPECT_NE(one.answer().label().score(), two.answer().label().score());
}

TEST_F(BatchRunnerTest, AGenerationDoesNotDependOnItsNeighbours) {
  const InferenceTarget base = Generation(12);
  const InferenceTarget tuned = WithPrompt(Generation(12), 3);
  InferenceInput sampled = Text("once upon");
  sampled.decoding.set_temperature(0.8);
  sampled.decoding.set_seed(5);
  const std::string greedy_alone =
      Alone(base, Text("hello")).answer().text().text();
  const std::string tuned_alone =
      Alone(tuned, Text("hello")).answer().text().text();
  const std::string sampled_alone = Alone(base, sampled).answer().text().text();
  BatchRunner runner({}, clock_);
  const auto greedy = Add(runner, base, Text("hello"));
  runner.Step();
  runner.Step();
  // Joins while the first one runs.
  const auto other = Add(runner, tuned, Text("hello"));
  const auto drawn = Add(runner, base, sampled);
  Add(runner, Classification({"good", "bad"}), Text("x"));

  RunAll(runner);

  EXPECT_EQ((**greedy)->answer().text().text(), greedy_alone);
  EXPECT_EQ((**other)->answer().text().text(), tuned_alone);
  EXPECT_EQ((**drawn)->answer().text().text(), sampled_alone);
}

TEST_F(BatchRunnerTest, PiecesTogetherAreTheText) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(runner, Generation(20), Text("hello"));

  RunAll(runner);

  ASSERT_OK(**outcome);
  const attune::v1::TextAnswer& answer = (**outcome)->answer().text();
  EXPECT_EQ(pieces_, answer.text());
  EXPECT_GE(answer.num_generated_tokens(), 1);
  EXPECT_LE(answer.num_generated_tokens(), 20);
}

TEST_F(BatchRunnerTest, ABeamSearchFindsWhatAnEvaluationFinds) {
  ASSERT_OK(WriteTinyT5(directory_ / "t5"));
  InferenceTarget t5 = Generation(12);
  t5.model = "models/t5";
  for (const InferenceTarget& target :
       {Generation(12), WithPrompt(Generation(12), 3), t5}) {
    const InferenceInput input = Beams("hello there", 4);

    const PredictResult result = Alone(target, input);

    EXPECT_EQ(result.answer().text().text(), Decoded(target, input));
    EXPECT_NE(result.answer().text().finish_reason(),
              attune::v1::FINISH_REASON_UNSPECIFIED);
  }
}

TEST_F(BatchRunnerTest, ABeamSearchAndItsNeighboursAnswerAsAlone) {
  const InferenceTarget base = Generation(12);
  const InferenceTarget tuned = WithPrompt(Generation(12), 3);
  InferenceInput sampled = Text("once upon");
  sampled.decoding.set_temperature(0.8);
  sampled.decoding.set_seed(5);
  const std::vector<std::pair<InferenceTarget, InferenceInput>> asked = {
      {base, Beams("hello", 4)}, {tuned, Beams("hello", 3)},
      {base, Text("hello")},     {base, sampled},
      {tuned, Beams("x", 2)},
  };
  BatchRunner runner({}, clock_);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (const auto& [target, input] : asked) {
    outcomes.push_back(Add(runner, target, input));
    runner.Step();  // the next one joins while this one runs
  }

  RunAll(runner);

  for (size_t i = 0; i < asked.size(); ++i) {
    ASSERT_OK(**outcomes[i]);
    const PredictResult alone = Alone(asked[i].first, asked[i].second);
    EXPECT_EQ((**outcomes[i])->answer().text().text(),
              alone.answer().text().text());
    EXPECT_EQ((**outcomes[i])->answer().text().num_generated_tokens(),
              alone.answer().text().num_generated_tokens());
  }
}

TEST_F(BatchRunnerTest, OneBeamIsTheGreedyText) {
  EXPECT_EQ(Alone(Generation(12), Beams("hello", 1)).answer().text().text(),
            Alone(Generation(12), Text("hello")).answer().text().text());
}

TEST_F(BatchRunnerTest, ABeamSearchComesInOnePiece) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(runner, Generation(20), Beams("hello", 4));

  RunAll(runner);

  ASSERT_OK(**outcome);
  ASSERT_NE((**outcome)->answer().text().text(), "");
  EXPECT_EQ(pieces_, (**outcome)->answer().text().text());
  EXPECT_EQ(num_pieces_, 1);
}

TEST_F(BatchRunnerTest, BeamSearchesTakeAPlaceForEveryBeam) {
  BatchRunner runner({.max_generations = 4}, clock_);
  const auto first = Add(runner, Generation(6), Beams("hello", 3));
  const auto second = Add(runner, Generation(6), Beams("hello", 3));
  const auto third = Add(runner, Generation(6), Beams("hello", 16));
  const std::string alone =
      Alone(Generation(6), Beams("hello", 3)).answer().text().text();

  while (!first->has_value()) {
    EXPECT_FALSE(second->has_value());
    runner.Step();
  }
  EXPECT_FALSE(second->has_value());
  RunAll(runner);

  ASSERT_OK(**first);
  ASSERT_OK(**second);
  EXPECT_OK(**third);
  EXPECT_EQ((**first)->answer().text().text(), alone);
  EXPECT_EQ((**second)->answer().text().text(), alone);
}

TEST_F(BatchRunnerTest, ACancelledBeamSearchEndsWithAllItsBeams) {
  BatchRunner runner({.max_generations = 4}, clock_);
  auto context = std::make_shared<CallContext>();
  const auto outcome =
      Add(runner, Generation(1000), Beams("hello", 4), context);
  runner.Step();
  runner.Step();
  ASSERT_FALSE(outcome->has_value());
  context->Cancel();
  const auto next = Add(runner, Generation(1), Beams("hello", 4));

  runner.Step();

  ASSERT_TRUE(outcome->has_value());
  EXPECT_THAT(**outcome, ReasonIs(Reason::kCancelled, _));
  ASSERT_TRUE(next->has_value());  // all places were free
  EXPECT_OK(**next);
  EXPECT_TRUE(runner.idle());
}

TEST_F(BatchRunnerTest, ABeamSearchGoesOnWhenItsNeighbourFails) {
  const std::string alone =
      Alone(Generation(8), Beams("hello", 3)).answer().text().text();
  BatchRunner runner({}, clock_);
  const auto running = Add(runner, Generation(8), Beams("hello", 3));
  runner.Step();
  runner.Step();
  const auto bad = AddTooLong(runner, Generation(8));

  RunAll(runner);

  EXPECT_FALSE((**bad).ok());
  ASSERT_OK(**running);
  EXPECT_EQ((**running)->answer().text().text(), alone);
}

TEST_F(BatchRunnerTest, DecodingStepByStepEqualsOneLongForward) {
  // Greedy text, then the same tokens as input: the next one must agree.
  const PredictResult whole = Alone(Generation(10), Text("hello"));
  const PredictResult begin = Alone(Generation(9), Text("hello"));

  EXPECT_TRUE(
      whole.answer().text().text().starts_with(begin.answer().text().text()));
}

TEST_F(BatchRunnerTest, AGenerationThatFailsTakesNoOtherDown) {
  const std::string alone =
      Alone(Generation(8), Text("hello")).answer().text().text();
  BatchRunner runner({}, clock_);
  const auto running = Add(runner, Generation(8), Text("hello"));
  runner.Step();
  const auto bad = AddTooLong(runner, Generation(8));
  const auto fresh = Add(runner, Generation(8), Text("hello"));

  RunAll(runner);

  EXPECT_THAT(**bad, StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK(**running);
  EXPECT_EQ((**running)->answer().text().text(), alone);
  ASSERT_OK(**fresh);
  EXPECT_EQ((**fresh)->answer().text().text(), alone);
}

TEST_F(BatchRunnerTest, AClassificationThatFailsTakesNoOtherDown) {
  const InferenceTarget target = Classification({"good", "bad"});
  BatchRunner runner({}, clock_);
  const auto bad = AddTooLong(runner, target);
  const auto good = Add(runner, target, Text("hello"));

  RunAll(runner);

  EXPECT_THAT(**bad, StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK(**good);
  ExpectSame(***good, Alone(target, Text("hello")));
}

TEST_F(BatchRunnerTest, ScoresThatAreNotNumbersAreAnError) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(
      runner, WithPrompt(Classification({"good", "bad"}), 1), Text("x"),
      std::make_shared<CallContext>(), [](WorkItem& item) {
        ServedPrompt prompt = *item.target->prompt;
        std::vector<at::Tensor> nan;
        for (int64_t i = 0; i < prompt.attached.prefix->num_layers(); ++i) {
          nan.push_back(at::full_like(prompt.attached.prefix->keys(i), NAN));
        }
        prompt.attached.prefix = std::make_shared<const KvBlock>(nan, nan);
        auto target = std::make_shared<ResolvedTarget>(*item.target);
        target->prompt = std::make_shared<const ServedPrompt>(prompt);
        item.target = std::move(target);
      });

  RunAll(runner);

  EXPECT_THAT(**outcome, ReasonIs(Reason::kInternal, HasSubstr("finite")));
}

TEST_F(BatchRunnerTest, ACancelledGenerationEndsAtItsNextStep) {
  BatchRunner runner({}, clock_);
  auto context = std::make_shared<CallContext>();
  const auto outcome = Add(runner, Generation(1000), Text("hello"), context);
  runner.Step();
  ASSERT_FALSE(outcome->has_value());
  context->Cancel();

  runner.Step();

  ASSERT_TRUE(outcome->has_value());
  EXPECT_THAT(**outcome, ReasonIs(Reason::kCancelled, _));
  EXPECT_TRUE(runner.idle());
}

TEST_F(BatchRunnerTest, ADeadlineEndsTheLateOneOnly) {
  BatchRunner runner({}, clock_);
  const auto late =
      Add(runner, Generation(1000), Text("hello"),
          std::make_shared<CallContext>(clock_.Now() + absl::Seconds(1)));
  const auto other = Add(runner, Generation(5), Text("hello"));
  runner.Step();
  clock_.Advance(absl::Seconds(2));

  RunAll(runner);

  EXPECT_THAT(**late, ReasonIs(Reason::kDeadlineExceeded, _));
  EXPECT_OK(**other);
}

TEST_F(BatchRunnerTest, WhatWaitsTooLongIsNeverRun) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(runner, Classification({"good", "bad"}), Text("x"),
                           std::make_shared<CallContext>(clock_.Now()));

  runner.Step();

  EXPECT_THAT(**outcome, ReasonIs(Reason::kDeadlineExceeded, _));
}

TEST_F(BatchRunnerTest, MoreGenerationsThanPlacesTakeTurns) {
  BatchRunner runner({.max_generations = 2}, clock_);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 5; ++i) {
    outcomes.push_back(Add(runner, Generation(3), Text("hello")));
  }

  RunAll(runner);

  for (const auto& outcome : outcomes) {
    ASSERT_OK(**outcome);
    EXPECT_EQ((**outcome)->answer().text().text(),
              (**outcomes[0])->answer().text().text());
  }
}

TEST_F(BatchRunnerTest, TwoModelsTakeTurns) {
  TinyLlamaOptions other;
  other.seed = 99;
  ASSERT_OK(WriteTinyLlama(directory_ / "other", other));
  InferenceTarget second = Generation(1000);
  second.model = "models/other";
  BatchRunner runner({}, clock_);
  Add(runner, second, Text("hello"));
  runner.Step();
  const auto outcome = Add(runner, Classification({"good", "bad"}), Text("x"));

  runner.Step();
  runner.Step();

  EXPECT_TRUE(outcome->has_value());
}

TEST_F(BatchRunnerTest, WhatIsLeftAtTheEndIsAnsweredAsDraining) {
  std::shared_ptr<Outcome> running;
  std::shared_ptr<Outcome> waiting;
  {
    BatchRunner runner({.max_generations = 1}, clock_);
    running = Add(runner, Generation(1000), Text("hello"));
    waiting = Add(runner, Generation(1000), Text("hello"));
    runner.Step();
  }

  EXPECT_THAT(**running, ReasonIs(Reason::kDraining, _));
  EXPECT_THAT(**waiting, ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
