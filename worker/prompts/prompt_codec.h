#ifndef ATTUNE_WORKER_PROMPTS_PROMPT_CODEC_H_
#define ATTUNE_WORKER_PROMPTS_PROMPT_CODEC_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/worker/v1/manifest.pb.h"
#include "proto/cc/artifact.h"
#include "worker/models/adaptation.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/classifier_head.h"
#include "worker/models/model_config.h"
#include "worker/models/model_store.h"
#include "worker/prompts/peft_names.h"
#include "worker/prompts/soft_prompt.h"
#include "worker/prompts/stored_prefix.h"

namespace attune::worker {

// The files of a prompt version, beside those of peft_names.h, which are a PEFT
// directory as PEFT itself writes it for PROMPT_TUNING, PREFIX_TUNING or LORA,
// and those of adaptation_codec.h and stored_prefix.h. There is a head where
// one was learned.
inline constexpr std::string_view kHeadFile = "attune_head.safetensors";
// Rows that stand at a template's markers, which PEFT does not know: this file,
// with the tensor "rows" [rows, embedding_dim], stands in the place of PEFT's.
inline constexpr std::string_view kMarkedRowsFile = "attune_rows.safetensors";
inline constexpr std::string_view kManifestFile = "attune_manifest.json";
inline constexpr int kPromptFormatVersion = 1;

// A prompt version as it is stored: rows, a prefix, weights of the model, or
// nothing but perhaps a head, as the manifest's method says.
struct StoredPrompt {
  std::optional<SoftPrompt> rows;
  StoredPrefix prefix;
  Adaptation adaptation;
  ClassifierHead head;  // undefined without one
  v1::PromptManifest manifest;

  // Positions of the context that it takes.
  int64_t length() const {
    if (rows.has_value()) return rows->length();
    return prefix.keys.defined() ? prefix.keys.size(2) : 0;
  }
  size_t num_bytes() const;  // of the tensors
};

// The files. Equal input gives equal bytes. `config` is the shape of the model
// that the prompt is for.
absl::StatusOr<Artifact> EncodePrompt(const StoredPrompt& prompt,
                                      const ModelConfig& config);

// Reads them back. DATA_LOSS (kCorruptArtifact) naming the file and what is
// wrong: missing, not parsable, another format version or PEFT type, a tensor
// of another name, dtype, rank or size than the config says, numbers that are
// not finite; a head that the task does not have or lacks.
absl::StatusOr<StoredPrompt> DecodePrompt(const Artifact& artifact);

// What was stored as `model` serves it. Errors of AttachPrompt; kModelMismatch
// for weights that the model does not have.
absl::StatusOr<AttachedPrompt> AttachStored(const LoadedModel& model,
                                            const StoredPrompt& stored);

// FAILED_PRECONDITION (kModelMismatch) naming both sides unless the prompt was
// made for the weights of `model` and has its widths.
absl::Status CheckPromptFits(const StoredPrompt& stored,
                             const ModelInfo& model);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_PROMPT_CODEC_H_
