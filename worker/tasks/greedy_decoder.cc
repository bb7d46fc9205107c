#include "worker/tasks/greedy_decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/packed_batch.h"

namespace attune::worker {
namespace {

// An answer that is being made.
struct Decoding {
  std::unique_ptr<KvSequence> sequence;
  std::vector<int64_t> next_ids;  // to run in the next pass
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
absl::Status RunPass(const TaskProgram& program, const KvBlock* prefix,
                     std::vector<Decoding>& decodings) {
  const CausalModel& model = program.model().causal();
  PackedBatch batch;
  std::vector<int64_t> rows;
  std::vector<Decoding*> running;
  for (Decoding& decoding : decodings) {
    if (decoding.done) continue;
    rows.push_back(batch.LastRowOf(
        batch.AddRoot(decoding.next_ids, prefix, decoding.sequence.get())));
    running.push_back(&decoding);
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                          model.Forward(batch.Build(model)));
  const at::Tensor tokens =
      at::argmax(model.Logits(hidden.index_select(
                     0, at::tensor(rows).to(hidden.device()))),
                 /*dim=*/1)
          .to(at::kCPU)
          .contiguous();
  for (size_t i = 0; i < running.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(
        Extend(program, tokens.const_data_ptr<int64_t>()[i], *running[i]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DecodeGreedily(
    const TaskProgram& program, const KvBlock* prefix,
    absl::Span<const TaskInput* const> inputs,
    const std::function<absl::Status()>& before_pass) {
  using Texts = std::vector<std::string>;
  return CatchTorchErrors("decoding", [&]() -> absl::StatusOr<Texts> {
    const at::NoGradGuard no_grad;
    const int64_t context = program.model().info.config.context_length -
                            (prefix != nullptr ? prefix->length() : 0);
    std::vector<Decoding> decodings(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int64_t length = static_cast<int64_t>(inputs[i]->ids.size());
      decodings[i].sequence = std::make_unique<KvSequence>();
      decodings[i].next_ids = inputs[i]->ids;
      decodings[i].room = std::min(program.max_new_tokens(), context - length);
      decodings[i].done = decodings[i].room <= 0;
    }
    const auto is_done = [](const Decoding& one) { return one.done; };
    while (!std::all_of(decodings.begin(), decodings.end(), is_done)) {
      ATTUNE_RETURN_IF_ERROR(before_pass());
      ATTUNE_RETURN_IF_ERROR(RunPass(program, prefix, decodings));
    }
    Texts texts;
    for (Decoding& decoding : decodings) {
      texts.push_back(std::move(decoding.text));
    }
    return texts;
  });
}

}  // namespace attune::worker
