#ifndef ATTUNE_WORKER_PROMPTS_PEFT_ADAPTER_H_
#define ATTUNE_WORKER_PROMPTS_PEFT_ADAPTER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// What a directory that PEFT saved puts before an input: rows in front of its
// embeddings (PROMPT_TUNING, P_TUNING), or keys and values in front of those of
// every layer (PREFIX_TUNING). In an encoder-decoder rows stand before the
// encoder's input, keys and values before those of the decoder's
// self-attention. Plain data on the CPU that fits the model it was read for.
struct PeftAdapter {
  // [rows, embedding_dim], fp32; undefined where there are keys and values.
  at::Tensor input_rows;
  // Per layer [kv_heads, rows, head_dim], fp32, as they stand in a cache: keys
  // are rotated. Empty where there are input rows.
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;

  bool is_prefix() const { return !keys.empty(); }
  int64_t num_rows() const {
    return is_prefix() ? keys[0].size(1) : input_rows.size(0);
  }
};

// Reads adapter_config.json and adapter_model.safetensors (or, where that is
// missing, adapter_model.bin) of `directory`. NotFound for a missing file;
// DataLoss naming file and place for a damaged one; InvalidArgument naming the
// key and what the model expects for an adapter of another type or of another
// model's shape, and for tensors beside the prompt.
absl::StatusOr<PeftAdapter> ReadPeftAdapter(const std::string& directory,
                                            const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_PEFT_ADAPTER_H_
