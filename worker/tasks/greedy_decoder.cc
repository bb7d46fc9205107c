#include "worker/tasks/greedy_decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/answer_decoding.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

// An answer that is being made.
struct Decoding {
  std::unique_ptr<KvSequence> sequence;
  std::shared_ptr<const KvBlock> memory;  // of an encoder-decoder
  std::vector<int64_t> next_ids;          // to run in the next pass
  std::vector<int64_t> answer;
  std::string text;
  int64_t room = 0;  // tokens it may still get
  bool done = false;
};

// What ends an answer.
struct Ends {
  explicit Ends(const TaskProgram& program)
      : tokens(EndTokens(program.model(), program.end_token())),
        texts(program.task().decoding().stop().begin(),
              program.task().decoding().stop().end()) {}

  bool Has(int64_t token) const {
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
  }

  const std::vector<int64_t> tokens;
  const std::vector<std::string> texts;
};

// Takes `token` into the answer; sets `done` where it ends.
absl::Status Extend(const TaskProgram& program, const Ends& ends, int64_t token,
                    Decoding& decoding) {
  if (ends.Has(token)) {
    decoding.done = true;
  } else {
    decoding.answer.push_back(token);
    decoding.next_ids = {token};
    decoding.done = --decoding.room <= 0;
  }
  if (!decoding.done && ends.texts.empty()) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(decoding.text, program.model().tokenizer->Decode(
                                             decoding.answer,
                                             /*skip_special_tokens=*/true));
  const size_t stop = FindStopText(decoding.text, ends.texts);
  if (stop != std::string::npos) {
    decoding.text.resize(stop);
    decoding.done = true;
  }
  return absl::OkStatus();
}

// Runs the next tokens of all that are not done and takes the likeliest ones.
absl::Status RunPass(const TaskProgram& program, const AttachedPrompt* prompt,
                     const Ends& ends, std::vector<Decoding>& decodings) {
  const LanguageModel& model = AsLanguage(ModelWith(prompt, program.model()));
  LanguageBatch batch(model);
  std::vector<int64_t> rows;
  std::vector<Decoding*> running;
  for (Decoding& decoding : decodings) {
    if (decoding.done) continue;
    rows.push_back(batch.LastRowOf(batch.AddStep(decoding.next_ids, prompt,
                                                 decoding.sequence.get(),
                                                 decoding.memory.get())));
    running.push_back(&decoding);
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(std::move(rows)));
  const at::Tensor tokens =
      at::argmax(model.Logits(hidden), /*dim=*/1).to(at::kCPU).contiguous();
  for (size_t i = 0; i < running.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(Extend(
        program, ends, tokens.const_data_ptr<int64_t>()[i], *running[i]));
  }
  return absl::OkStatus();
}

// An encoder-decoder reads the inputs once; its decoder begins anew.
absl::Status BeginApart(const TaskProgram& program,
                        const AttachedPrompt* prompt,
                        absl::Span<const TaskInput* const> inputs,
                        std::vector<Decoding>& decodings) {
  ATTUNE_ASSIGN_OR_RETURN(const auto memories,
                          ReadInputs(program, prompt, inputs));
  for (size_t i = 0; i < decodings.size(); ++i) {
    decodings[i].memory = memories[i];
    decodings[i].next_ids = {
        program.model().info.config.decoder_start_token_id};
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DecodeGreedily(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status()>& before_pass) {
  using Texts = std::vector<std::string>;
  return CatchTorchErrors("decoding", [&]() -> absl::StatusOr<Texts> {
    const at::NoGradGuard no_grad;
    const Ends ends(program);
    std::vector<Decoding> decodings(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      decodings[i].sequence = std::make_unique<KvSequence>();
      decodings[i].next_ids = inputs[i]->ids;
      decodings[i].room =
          std::min(program.max_new_tokens(), program.AnswerRoom(*inputs[i]));
      decodings[i].done = decodings[i].room <= 0;
    }
    if (program.reads_apart() && !decodings.empty()) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(BeginApart(program, prompt, inputs, decodings));
    }
    const auto is_done = [](const Decoding& one) { return one.done; };
    while (!std::all_of(decodings.begin(), decodings.end(), is_done)) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(RunPass(program, prompt, ends, decodings));
    }
    Texts texts;
    for (Decoding& decoding : decodings) {
      texts.push_back(std::move(decoding.text));
    }
    return texts;
  });
}

}  // namespace attune::worker
