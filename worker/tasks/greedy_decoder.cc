#include "worker/tasks/greedy_decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
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

// Takes `token` into the answer; sets `done` where it ends.
absl::Status Extend(const TaskProgram& program, int64_t token,
                    Decoding& decoding) {
  const std::vector<int64_t>& stops = program.model().stop_token_ids;
  if (token == program.end_token() ||
      std::find(stops.begin(), stops.end(), token) != stops.end()) {
    decoding.done = true;
  } else {
    decoding.answer.push_back(token);
    decoding.next_ids = {token};
    decoding.done = --decoding.room <= 0;
  }
  const auto& stop_texts = program.task().decoding().stop();
  if (!decoding.done && stop_texts.empty()) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(decoding.text, program.model().tokenizer->Decode(
                                             decoding.answer,
                                             /*skip_special_tokens=*/true));
  for (const std::string& stop : stop_texts) {
    const size_t place = decoding.text.find(stop);
    if (place == std::string::npos) continue;
    decoding.text.resize(place);
    decoding.done = true;
  }
  return absl::OkStatus();
}

// Runs the next tokens of all that are not done and takes the likeliest ones.
absl::Status RunPass(const TaskProgram& program, const AttachedPrompt* prompt,
                     std::vector<Decoding>& decodings) {
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
    ATTUNE_RETURN_IF_ERROR(
        Extend(program, tokens.const_data_ptr<int64_t>()[i], *running[i]));
  }
  return absl::OkStatus();
}

// An encoder-decoder reads the inputs once; its decoder begins anew.
absl::Status ReadInputs(const TaskProgram& program,
                        const AttachedPrompt* prompt,
                        std::vector<Decoding>& decodings) {
  const EncoderDecoderModel& model =
      AsEncoderDecoder(ModelWith(prompt, program.model()));
  std::vector<MemoryText> texts;
  for (const Decoding& decoding : decodings) {
    texts.push_back({decoding.next_ids, prompt});
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<std::shared_ptr<const KvBlock>> memories,
      EncodeMemories(model, texts));
  for (size_t i = 0; i < decodings.size(); ++i) {
    decodings[i].memory = memories[i];
    decodings[i].next_ids = {model.config().decoder_start_token_id};
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
      ATTUNE_RETURN_IF_ERROR(ReadInputs(program, prompt, decodings));
    }
    const auto is_done = [](const Decoding& one) { return one.done; };
    while (!std::all_of(decodings.begin(), decodings.end(), is_done)) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(RunPass(program, prompt, decodings));
    }
    Texts texts;
    for (Decoding& decoding : decodings) {
      texts.push_back(std::move(decoding.text));
    }
    return texts;
  });
}

}  // namespace attune::worker
