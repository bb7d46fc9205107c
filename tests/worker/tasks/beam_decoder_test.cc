#include "worker/tasks/beam_decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/answer_decoding.h"
#include "worker/tasks/beam_decoding.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

absl::Status KeepOn() { return absl::OkStatus(); }

attune::v1::TaskSpec BeamTask(int num_beams, int max_new_tokens = 12) {
  attune::v1::TaskSpec task = TextTask(max_new_tokens);
  task.mutable_decoding()->set_num_beams(num_beams);
  return task;
}

TaskInput BeamInput(const TaskProgram& program, const std::string& text) {
  return *program.PrepareInput("{\"text\": \"" + text + "\"}", 1);
}

// The plain way: all of every beam's text again for every token, without keys
// and values from before.
std::string SearchByHand(const TaskProgram& program,
                         const AttachedPrompt* prompt,
                         const std::vector<int64_t>& input) {
  const at::NoGradGuard no_grad;
  const attune::v1::Decoding& task = program.task().decoding();
  const Tokenizer& tokenizer = *program.model().tokenizer;
  BeamSearch search(
      {.num_beams = task.num_beams(),
       .length_penalty =
           task.has_length_penalty() ? task.length_penalty().value() : 1.0,
       .max_new_tokens = task.max_new_tokens(),
       .end_tokens = EndTokens(program.model(), program.end_token())});
  const LanguageModel& model = AsLanguage(ModelWith(prompt, program.model()));
  while (!search.finished()) {
    LanguageBatch batch(model);
    std::vector<BatchText> texts;
    for (const BeamSearch::Beam& beam : search.beams()) {
      texts.push_back({.text = input, .prompt = prompt, .following = beam.ids});
    }
    const std::vector<int> segments =
        batch.AddTexts(texts, /*share_beginnings=*/false);
    std::vector<int64_t> rows;
    for (size_t i = 0; i < segments.size(); ++i) {
      rows.push_back(batch.RowBehindText(segments[i]) +
                     static_cast<int64_t>(texts[i].following.size()));
    }
    const at::Tensor logits = model.Logits(*batch.Run(rows)).contiguous();
    const absl::Status status = search.Advance(
        {logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())},
        [&](const std::vector<int64_t>& ids) -> absl::StatusOr<bool> {
          const std::string text = *tokenizer.Decode(ids, true);
          for (const std::string& stop : task.stop()) {
            if (text.find(stop) != std::string::npos) return true;
          }
          return false;
        });
    EXPECT_OK(status);
    if (!status.ok()) return "";
  }
  std::string text = *tokenizer.Decode(search.hypotheses()[0].ids, true);
  for (const std::string& stop : task.stop()) {
    text = text.substr(0, text.find(stop));
  }
  return text;
}

TEST(BeamDecoder, EqualsWholeTextsByHand) {
  for (const char* model : {"tiny", "t5"}) {
    for (const double penalty : {1.0, -1.0}) {
      attune::v1::TaskSpec task = BeamTask(4);
      task.mutable_decoding()->mutable_length_penalty()->set_value(penalty);
      const auto program = CompileTask(task, 0, model);
      const TaskInput first = BeamInput(*program, "it is");
      const TaskInput second = BeamInput(*program, "the other and the one");

      const auto texts =
          DecodeByBeams(*program, nullptr, {&first, &second}, KeepOn);

      ASSERT_OK(texts);
      EXPECT_EQ((*texts)[0], SearchByHand(*program, nullptr, first.ids));
      EXPECT_EQ((*texts)[1], SearchByHand(*program, nullptr, second.ids));
    }
  }
}

TEST(BeamDecoder, ReadsAPromptBeforeTheInput) {
  for (const char* model : {"tiny", "t5"}) {
    const auto program = CompileTask(BeamTask(3), /*num_prompt_rows=*/3, model);
    const auto prompt = AttachPrompt(
        program->model(), program->model().model->Embed(
                              at::tensor(std::vector<int64_t>{20, 40, 60})));
    ASSERT_OK(prompt);
    const TaskInput input = BeamInput(*program, "it is");

    const auto texts = DecodeByBeams(*program, &*prompt, {&input}, KeepOn);

    ASSERT_OK(texts);
    EXPECT_EQ((*texts)[0], SearchByHand(*program, &*prompt, input.ids));
  }
}

TEST(BeamDecoder, EndsBeforeAStopText) {
  attune::v1::TaskSpec task = BeamTask(3);
  const auto free = CompileTask(task);
  const TaskInput input = BeamInput(*free, "it is");
  const std::string whole =
      (*DecodeByBeams(*free, nullptr, {&input}, KeepOn))[0];
  ASSERT_GE(whole.size(), 6u);
  task.mutable_decoding()->add_stop(whole.substr(3, 2));
  const auto program = CompileTask(task);

  const std::string text =
      (*DecodeByBeams(*program, nullptr, {&input}, KeepOn))[0];

  EXPECT_EQ(text.find(whole.substr(3, 2)), std::string::npos);
  EXPECT_EQ(text, SearchByHand(*program, nullptr, input.ids));
}

TEST(BeamDecoder, AnAnswerWithoutRoomIsEmpty) {
  const auto program = CompileTask(BeamTask(2));
  TaskInput full = BeamInput(*program, "it is");
  const TaskInput other = full;
  full.ids.resize(256, 50);

  const auto texts = DecodeByBeams(*program, nullptr, {&full, &other}, KeepOn);

  ASSERT_OK(texts);
  EXPECT_EQ((*texts)[0], "");
  EXPECT_EQ((*texts)[1], SearchByHand(*program, nullptr, other.ids));
}

TEST(BeamDecoder, EndsWhenTheCallerSaysSo) {
  const auto program = CompileTask(BeamTask(2));
  const TaskInput input = BeamInput(*program, "it is");

  EXPECT_THAT(
      DecodeByBeams(*program, nullptr, {&input},
                    [] { return MakeError(Reason::kCancelled, "enough"); }),
      ReasonIs(Reason::kCancelled, HasSubstr("enough")));
}

TEST(BeamDecoder, ATaskWithoutBeamsHasOne) {
  EXPECT_EQ(NumBeams(TextTask(5)), 1);
  EXPECT_EQ(NumBeams(BeamTask(1)), 1);
  EXPECT_EQ(NumBeams(BeamTask(16)), 16);
}

}  // namespace
}  // namespace attune::worker
