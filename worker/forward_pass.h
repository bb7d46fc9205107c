#ifndef ATTUNE_WORKER_FORWARD_PASS_H_
#define ATTUNE_WORKER_FORWARD_PASS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/forward_rows.h"
#include "worker/models/base_model.h"
#include "worker/models/causal_model.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/language_model.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/peft_adapter.h"

namespace attune::worker {

// Runs inputs through a model of any kind, without padding, and keeps what
// comes out of it. For input N of what Run is given, results are
//   input_ids.N          I64 [tokens]
//   decoder_input_ids.N  I64 [decoder tokens], of encoder-decoders
//   logits.N             F32 [tokens, vocab]; [decoder tokens, vocab] of
//                        encoder-decoders; [tokens, outputs] of an encoder's
//                        head, or [1, labels] of one for the whole input
//   last_hidden_state.N  F32 [tokens, dim], of encoders without a head
//   generated_ids.N      I64 [generated tokens], if tokens are generated
// Rows of a prompt are left out. The head for a whole input reads its first
// row, which is the prompt's if rows stand before the input, as in PEFT.
// Used by one thread, without grad mode.
class ForwardPass {
 public:
  struct Options {
    int64_t max_new_tokens = 0;  // 0: nothing is generated
    // A token of these ends what is generated; it is kept.
    std::vector<int64_t> end_tokens;
  };

  // `model` must outlive the pass. InvalidArgument if an encoder is to
  // generate.
  static absl::StatusOr<ForwardPass> Create(
      const BaseModel& model, const std::optional<PeftAdapter>& adapter,
      Options options);

  // Runs `rows` as one batch; they are the inputs `first`, `first` + 1, ...
  absl::Status Run(std::span<const ForwardRow> rows, int64_t first,
                   TensorMap& results) const;

  // Rows that the model computes for `row`, the prompt's included.
  int64_t NumRows(const ForwardRow& row) const;

 private:
  // A row as a decoder extends it.
  struct DecodedRow;
  // Runs a batch whose segments are the decoded rows `live`: -> hidden states
  // [rows, dim].
  using DecoderStep = std::function<absl::StatusOr<at::Tensor>(
      const std::vector<size_t>& live, PackedRows rows)>;

  ForwardPass(const BaseModel& model, Options options)
      : model_(model), options_(std::move(options)) {}

  absl::Status RunCausal(std::span<const ForwardRow> rows, int64_t first,
                         TensorMap& results) const;
  absl::Status RunEncoder(std::span<const ForwardRow> rows, int64_t first,
                          TensorMap& results) const;
  absl::Status RunEncoderDecoder(std::span<const ForwardRow> rows,
                                 int64_t first, TensorMap& results) const;

  // The inputs of an encoder behind each other, each behind a copy of the
  // prompt's rows; with `prefix`, which may be null.
  EncoderRows PackInputs(std::span<const ForwardRow> rows,
                         const KvBlock* prefix) const;
  // Logits of all that is given to a decoder, then what it goes on with.
  absl::Status Decode(const LanguageModel& model, const DecoderStep& step,
                      std::vector<DecodedRow> rows, int64_t first,
                      TensorMap& results) const;
  DecodedRow StartRow(const std::vector<int64_t>& ids) const;
  // Takes `token` into the row; whether the row is finished.
  bool Extend(DecodedRow& row, int64_t token) const;

  const BaseModel& model_;
  const Options options_;
  at::Tensor input_rows_;  // [rows, embedding_dim] before an encoder's input
  // Before the rows of an encoder or a decoder; null: nothing.
  std::shared_ptr<const KvBlock> prefix_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_FORWARD_PASS_H_
