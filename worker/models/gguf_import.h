#ifndef ATTUNE_WORKER_MODELS_GGUF_IMPORT_H_
#define ATTUNE_WORKER_MODELS_GGUF_IMPORT_H_

#include <string>

#include "absl/status/status.h"

namespace attune::worker {

// Converts a GGUF file of an architecture in gguf_architectures.cc into a
// Hugging Face directory: config.json, model.safetensors (F32, exactly the
// dequantised numbers, Gemma's norms less the one that the converter added),
// tokenizer.json, tokenizer_config.json with the chat template, and
// generation_config.json. Written to a temporary neighbour and renamed, so
// `output_dir` appears complete or not at all.
//
// AlreadyExists if `output_dir` exists; Unimplemented naming the architecture,
// the key and its value, the tensor or its type that can't be converted;
// DataLoss naming the place in a file that breaks the format, or a tensor that
// is missing or has another shape than the metadata mean.
absl::Status ImportGguf(const std::string& gguf_file,
                        const std::string& output_dir);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_IMPORT_H_
