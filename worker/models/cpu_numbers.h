#ifndef ATTUNE_WORKER_MODELS_CPU_NUMBERS_H_
#define ATTUNE_WORKER_MODELS_CPU_NUMBERS_H_

#include <bit>
#include <cstdint>

// Marks a function that loops over numbers: it is compiled once per instruction
// set, and the loader picks one.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define ATTUNE_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ATTUNE_CLONES
#endif

// Marks what such a function calls in its loops, so that it is compiled with
// it.
#define ATTUNE_INLINE inline __attribute__((always_inline))

namespace attune::worker::cpu_rows {

// fp32 numbers and bits of bf16, one at a time, so that a loop can be written
// once for both.

ATTUNE_INLINE float WidenOne(float value) { return value; }

ATTUNE_INLINE float WidenOne(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

ATTUNE_INLINE void NarrowOne(float value, float& to) { to = value; }

// To the nearest bf16, of two the even one; NaN stays NaN.
ATTUNE_INLINE void NarrowOne(float value, uint16_t& to) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

}  // namespace attune::worker::cpu_rows

#endif  // ATTUNE_WORKER_MODELS_CPU_NUMBERS_H_
