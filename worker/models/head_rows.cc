#include "worker/models/head_rows.h"

#include <cstring>

#include "worker/models/cpu_numbers.h"

namespace attune::worker::cpu_rows {
namespace {

// Rotates the pairs (i, i + half) of one head from `in` to `out`; the rest of
// its `size` elements is only scaled.
template <typename Number>
ATTUNE_INLINE void RotateHead(const Number* __restrict in,
                              Number* __restrict out,
                              const float* __restrict cosines,
                              const float* __restrict sines, int64_t half,
                              int64_t size, float scale, float direction) {
  for (int64_t i = 0; i < half; ++i) {
    const float c = cosines[i] * scale;
    const float s = sines[i] * scale * direction;
    const float a = WidenOne(in[i]);
    const float b = WidenOne(in[i + half]);
    NarrowOne(a * c - b * s, out[i]);
    NarrowOne(b * c + a * s, out[i + half]);
  }
  for (int64_t i = 2 * half; i < size; ++i) {
    NarrowOne(WidenOne(in[i]) * scale, out[i]);
  }
}

template <typename Number>
ATTUNE_INLINE void SplitRows(const SplitHeadsArgs<Number>& args, int64_t begin,
                             int64_t end) {
  const int64_t size = args.head_dim;
  const int64_t half = args.rotary_dim / 2;
  const int64_t group = args.heads / args.kv_heads;
  const int64_t width = (args.heads + 2 * args.kv_heads) * size;
  for (int64_t row = begin; row < end; ++row) {
    const Number* in = args.qkv + row * width;
    const float* cosines = args.cosines + row * half;
    const float* sines = args.sines + row * half;
    for (int64_t h = 0; h < args.heads; ++h, in += size) {
      const int64_t to = (h / group * args.rows + row) * group + h % group;
      RotateHead(in, args.q + to * size, cosines, sines, half, size, args.scale,
                 1);
    }
    for (int64_t h = 0; h < args.kv_heads; ++h, in += size) {
      RotateHead(in, args.k + (h * args.rows + row) * size, cosines, sines,
                 half, size, 1, 1);
    }
    for (int64_t h = 0; h < args.kv_heads; ++h, in += size) {
      std::memcpy(args.v + (h * args.rows + row) * size, in,
                  static_cast<size_t>(size) * sizeof(Number));
    }
  }
}

template <typename Number>
ATTUNE_INLINE void MergeRows(const SplitHeadsArgs<Number>& args, int64_t begin,
                             int64_t end) {
  const int64_t size = args.head_dim;
  const int64_t half = args.rotary_dim / 2;
  const int64_t group = args.heads / args.kv_heads;
  const int64_t width = (args.heads + 2 * args.kv_heads) * size;
  for (int64_t row = begin; row < end; ++row) {
    Number* out = args.qkv + row * width;
    const float* cosines = args.cosines + row * half;
    const float* sines = args.sines + row * half;
    for (int64_t h = 0; h < args.heads; ++h, out += size) {
      const int64_t from = (h / group * args.rows + row) * group + h % group;
      RotateHead(args.q + from * size, out, cosines, sines, half, size,
                 args.scale, -1);
    }
    for (int64_t h = 0; h < args.kv_heads; ++h, out += size) {
      RotateHead(args.k + (h * args.rows + row) * size, out, cosines, sines,
                 half, size, 1, -1);
    }
    for (int64_t h = 0; h < args.kv_heads; ++h, out += size) {
      std::memcpy(out, args.v + (h * args.rows + row) * size,
                  static_cast<size_t>(size) * sizeof(Number));
    }
  }
}

}  // namespace

ATTUNE_CLONES void SplitHeads(const SplitHeadsArgs<float>& args, int64_t begin,
                              int64_t end) {
  SplitRows(args, begin, end);
}

ATTUNE_CLONES void SplitHeads(const SplitHeadsArgs<uint16_t>& args,
                              int64_t begin, int64_t end) {
  SplitRows(args, begin, end);
}

ATTUNE_CLONES void SplitHeadsBackward(const SplitHeadsArgs<float>& args,
                                      int64_t begin, int64_t end) {
  MergeRows(args, begin, end);
}

ATTUNE_CLONES void SplitHeadsBackward(const SplitHeadsArgs<uint16_t>& args,
                                      int64_t begin, int64_t end) {
  MergeRows(args, begin, end);
}

}  // namespace attune::worker::cpu_rows
