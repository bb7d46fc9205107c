#include "worker/tasks/beam_decoder.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/answer_decoding.h"
#include "worker/tasks/beam_decoding.h"
#include "worker/tasks/greedy_decoder.h"
#include "worker/tasks/language_batch.h"
#include "worker/tasks/pass_size.h"

namespace attune::worker {
namespace {

// Sequences that are decoded at once, every beam being one, and the rows of
// their inputs: these bound the memory of their keys and values.
constexpr size_t kMaxDecodings = 32;
constexpr int64_t kMaxDecodingRows = 4096;

// An answer that is being made; without a search where it has no room.
struct BeamAnswer {
  std::unique_ptr<BeamDecoding> search;
  std::shared_ptr<const KvBlock> memory;  // of an encoder-decoder

  bool done() const { return search == nullptr || search->finished(); }
};

std::unique_ptr<BeamDecoding> BeginSearch(const TaskProgram& program,
                                          const TaskInput& input) {
  const attune::v1::Decoding& decoding = program.task().decoding();
  BeamOptions options = {
      .num_beams = decoding.num_beams(),
      .max_new_tokens =
          std::min(program.max_new_tokens(), program.AnswerRoom(input)),
      .end_tokens = EndTokens(program.model(), program.end_token())};
  if (options.max_new_tokens <= 0) return nullptr;
  if (decoding.has_length_penalty()) {
    options.length_penalty = decoding.length_penalty().value();
  }
  return std::make_unique<BeamDecoding>(
      *program.model().tokenizer, std::move(options),
      std::vector<std::string>(decoding.stop().begin(), decoding.stop().end()),
      input.ids);
}

// An encoder-decoder reads the inputs once; its decoder begins anew.
absl::Status BeginApart(const TaskProgram& program,
                        const AttachedPrompt* prompt,
                        absl::Span<const TaskInput* const> inputs,
                        std::vector<BeamAnswer>& answers) {
  ATTUNE_ASSIGN_OR_RETURN(const auto memories,
                          ReadInputs(program, prompt, inputs));
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i].memory = memories[i];
    if (answers[i].search == nullptr) continue;
    answers[i].search->BeginApart(
        program.model().info.config.decoder_start_token_id);
  }
  return absl::OkStatus();
}

// Brings the beams of all answers that are not done one token further.
absl::Status RunBeams(const TaskProgram& program, const AttachedPrompt* prompt,
                      std::vector<BeamAnswer>& answers) {
  const LanguageModel& model = AsLanguage(ModelWith(prompt, program.model()));
  LanguageBatch batch(model);
  std::vector<int64_t> rows;
  for (BeamAnswer& answer : answers) {
    if (answer.done()) continue;
    for (const DecodingStep& step : answer.search->Steps()) {
      rows.push_back(batch.LastRowOf(
          batch.AddStep(step.ids, prompt, step.sequence, answer.memory.get())));
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(std::move(rows)));
  const at::Tensor logits = model.Logits(hidden).cpu().contiguous();
  const size_t vocab = static_cast<size_t>(logits.size(1));
  const float* begin = logits.const_data_ptr<float>();
  for (BeamAnswer& answer : answers) {
    if (answer.done()) continue;
    const size_t size = answer.search->num_steps() * vocab;
    ATTUNE_RETURN_IF_ERROR(answer.search->Advance({begin, size}));
    begin += size;
  }
  return absl::OkStatus();
}

}  // namespace

int64_t NumBeams(const attune::v1::TaskSpec& task) {
  return std::max<int64_t>(1, task.decoding().num_beams());
}

absl::StatusOr<std::vector<std::string>> DecodeByBeams(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status()>& before_pass) {
  using Texts = std::vector<std::string>;
  return CatchTorchErrors("decoding", [&]() -> absl::StatusOr<Texts> {
    const at::NoGradGuard no_grad;
    std::vector<BeamAnswer> answers(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      answers[i].search = BeginSearch(program, *inputs[i]);
    }
    if (program.reads_apart() && !answers.empty()) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(BeginApart(program, prompt, inputs, answers));
    }
    const auto is_done = [](const BeamAnswer& one) { return one.done(); };
    while (!std::all_of(answers.begin(), answers.end(), is_done)) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(RunBeams(program, prompt, answers));
    }
    Texts texts(answers.size());
    for (size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].search == nullptr) continue;
      ATTUNE_ASSIGN_OR_RETURN(BeamText chosen, answers[i].search->Text());
      texts[i] = std::move(chosen.text);
    }
    return texts;
  });
}

absl::StatusOr<std::vector<std::string>> DecodeInBatches(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status(size_t done)>& before_pass) {
  const int64_t beams = NumBeams(program.task());
  const auto decode = beams > 1 ? DecodeByBeams : DecodeGreedily;
  const size_t most = std::max<size_t>(1, kMaxDecodings / beams);
  std::vector<std::string> answers;
  answers.reserve(inputs.size());
  while (answers.size() < inputs.size()) {
    const auto rest = inputs.subspan(answers.size());
    const size_t size =
        PassSize(rest.first(std::min(most, rest.size())), kMaxDecodingRows,
                 [beams](const TaskInput* input) {
                   return static_cast<int64_t>(input->ids.size()) * beams;
                 });
    ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> batch,
                            decode(program, prompt, rest.first(size), [&] {
                              return before_pass(answers.size());
                            }));
    for (std::string& answer : batch) answers.push_back(std::move(answer));
  }
  return answers;
}

}  // namespace attune::worker
