#include "worker/models/gguf_blocks.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <array>
#include <cstring>

// Layouts: ggml's block_q4_0 ... block_q6_K. All numbers are little-endian; `d`
// and `m` are the scale and the offset of a block.

namespace attune::worker {
namespace {

float LoadHalf(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return c10::Half(bits, c10::Half::from_bits());
}

uint32_t LoadBits(const uint8_t* bytes) {
  uint32_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

void DecodeF32(const uint8_t* block, float* out) {
  std::memcpy(out, block, sizeof(float));
}

void DecodeF16(const uint8_t* block, float* out) { *out = LoadHalf(block); }

void DecodeBf16(const uint8_t* block, float* out) {
  uint16_t bits;
  std::memcpy(&bits, block, sizeof(bits));
  *out = c10::BFloat16(bits, c10::BFloat16::from_bits());
}

// The two halves of a byte are 16 numbers apart.
void DecodeQ4_0(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  for (int i = 0; i < 16; ++i) {
    const uint8_t q = block[2 + i];
    out[i] = d * static_cast<float>((q & 15) - 8);
    out[i + 16] = d * static_cast<float>((q >> 4) - 8);
  }
}

void DecodeQ4_1(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  for (int i = 0; i < 16; ++i) {
    const uint8_t q = block[4 + i];
    out[i] = d * static_cast<float>(q & 15) + m;
    out[i + 16] = d * static_cast<float>(q >> 4) + m;
  }
}

// Number i has its fifth bit in bit i of a 32-bit word before the nibbles.
void DecodeQ5_0(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  const uint32_t high = LoadBits(block + 2);
  for (int i = 0; i < 16; ++i) {
    const uint8_t q = block[6 + i];
    const int low_number = (q & 15) | (high >> i & 1) << 4;
    const int high_number = q >> 4 | (high >> (i + 16) & 1) << 4;
    out[i] = d * static_cast<float>(low_number - 16);
    out[i + 16] = d * static_cast<float>(high_number - 16);
  }
}

void DecodeQ5_1(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  const uint32_t high = LoadBits(block + 4);
  for (int i = 0; i < 16; ++i) {
    const uint8_t q = block[8 + i];
    const int low_number = (q & 15) | (high >> i & 1) << 4;
    const int high_number = q >> 4 | (high >> (i + 16) & 1) << 4;
    out[i] = d * static_cast<float>(low_number) + m;
    out[i + 16] = d * static_cast<float>(high_number) + m;
  }
}

void DecodeQ8_0(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  for (int i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  }
}

// Scale and offset factors of the eight 32-number parts of a K block: six bits
// each, packed into 12 bytes.
void UnpackFactors(const uint8_t* packed, std::array<int, 8>& scales,
                   std::array<int, 8>& offsets) {
  for (int i = 0; i < 4; ++i) {
    scales[i] = packed[i] & 63;
    offsets[i] = packed[i + 4] & 63;
    scales[i + 4] = (packed[i + 8] & 15) | packed[i] >> 6 << 4;
    offsets[i + 4] = packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4;
  }
}

void DecodeQ4_K(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  std::array<int, 8> scales;
  std::array<int, 8> offsets;
  UnpackFactors(block + 4, scales, offsets);
  for (int part = 0; part < 8; ++part) {
    const uint8_t* q = block + 16 + part / 2 * 32;
    const float scale = d * static_cast<float>(scales[part]);
    const float offset = m * static_cast<float>(offsets[part]);
    for (int i = 0; i < 32; ++i) {
      const int number = q[i] >> (part % 2 * 4) & 15;
      out[part * 32 + i] = scale * static_cast<float>(number) - offset;
    }
  }
}

void DecodeQ5_K(const uint8_t* block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  std::array<int, 8> scales;
  std::array<int, 8> offsets;
  UnpackFactors(block + 4, scales, offsets);
  const uint8_t* high = block + 16;
  for (int part = 0; part < 8; ++part) {
    const uint8_t* q = block + 48 + part / 2 * 32;
    const float scale = d * static_cast<float>(scales[part]);
    const float offset = m * static_cast<float>(offsets[part]);
    for (int i = 0; i < 32; ++i) {
      const int number = (q[i] >> (part % 2 * 4) & 15) | (high[i] >> part & 1)
                                                             << 4;
      out[part * 32 + i] = scale * static_cast<float>(number) - offset;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 scales, d.
void DecodeQ6_K(const uint8_t* block, float* out) {
  const float d = LoadHalf(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;  // each half has its own 64 + 32 bytes
    const int quarter = i / 32 % 4;
    const int column = i % 32;
    const uint8_t low =
        block[half * 64 + quarter % 2 * 32 + column] >> (quarter / 2 * 4) & 15;
    const uint8_t high = block[128 + half * 32 + column] >> (quarter * 2) & 3;
    const auto scale = static_cast<int8_t>(block[192 + i / 16]);
    const int number = (low | high << 4) - 32;
    out[i] = d * static_cast<float>(scale) * static_cast<float>(number);
  }
}

constexpr std::array<GgufBlockType, 11> kTypes = {{
    {0, "F32", 1, 4, DecodeF32},
    {1, "F16", 1, 2, DecodeF16},
    {2, "Q4_0", 32, 18, DecodeQ4_0},
    {3, "Q4_1", 32, 20, DecodeQ4_1},
    {6, "Q5_0", 32, 22, DecodeQ5_0},
    {7, "Q5_1", 32, 24, DecodeQ5_1},
    {8, "Q8_0", 32, 34, DecodeQ8_0},
    {12, "Q4_K", 256, 144, DecodeQ4_K},
    {13, "Q5_K", 256, 176, DecodeQ5_K},
    {14, "Q6_K", 256, 210, DecodeQ6_K},
    {30, "BF16", 1, 2, DecodeBf16},
}};

}  // namespace

const GgufBlockType* FindGgufBlockType(uint32_t id) {
  for (const GgufBlockType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

}  // namespace attune::worker
