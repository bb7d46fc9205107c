#ifndef ATTUNE_WORKER_MODELS_GGUF_BLOCKS_H_
#define ATTUNE_WORKER_MODELS_GGUF_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attune::worker {

// How a GGUF type stores its numbers: `block_size` of them in `block_bytes`.
struct GgufBlockType {
  uint32_t id;  // ggml's number for the type
  std::string_view name;
  int64_t block_size;
  size_t block_bytes;
  // Decodes one block of `block_size` numbers.
  void (*decode)(const uint8_t* block, float* out);
};

// The type with ggml's number `id`; null for those that are not supported. F32,
// F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are. The numbers
// equal those of the reference dequantisation (package gguf) bit for bit.
const GgufBlockType* FindGgufBlockType(uint32_t id);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_BLOCKS_H_
