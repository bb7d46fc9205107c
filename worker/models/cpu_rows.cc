#include "worker/models/cpu_rows.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "worker/models/cpu_numbers.h"

// The loops are written so that compilers vectorise them without reassociating
// sums: reductions run in kLanes independent lanes.
namespace attune::worker::cpu_rows {
namespace {

constexpr int kLanes = 16;

ATTUNE_INLINE float SumOfLanes(const float (&lanes)[kLanes]) {
  float sum = 0;
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

// e^x for x <= 0 to 88; relative error below 2e-7. Cephes' expf: x = n ln 2 +
// r, a polynomial in r, n added to the exponent.
ATTUNE_INLINE float Exp(float x) {
  x = std::max(x, -87.0f);
  x = std::min(x, 88.0f);
  const float n = std::nearbyint(x * 1.44269504088896341f);
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

template <typename Number>
ATTUNE_INLINE float Dot(const float* a, const Number* b, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += a[i + j] * WidenOne(b[i + j]);
  }
  float sum = SumOfLanes(lanes);
  for (; i < count; ++i) sum += a[i] * WidenOne(b[i]);
  return sum;
}

ATTUNE_INLINE float Max(const float* x, int64_t count, float start) {
  float lanes[kLanes];
  for (int j = 0; j < kLanes; ++j) lanes[j] = start;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      lanes[j] = lanes[j] > x[i + j] ? lanes[j] : x[i + j];
    }
  }
  float max = start;
  for (int j = 0; j < kLanes; ++j) max = std::max(max, lanes[j]);
  for (; i < count; ++i) max = std::max(max, x[i]);
  return max;
}

// Replaces x by e^(x - max) and returns the sum.
ATTUNE_INLINE float ExpInPlace(float* x, int64_t count, float max) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      x[i + j] = Exp(x[i + j] - max);
      lanes[j] += x[i + j];
    }
  }
  float sum = SumOfLanes(lanes);
  for (; i < count; ++i) {
    x[i] = Exp(x[i] - max);
    sum += x[i];
  }
  return sum;
}

ATTUNE_INLINE void Scale(float* x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

// Eight lanes, which the compiler maps to the registers there are.
typedef float Lanes __attribute__((vector_size(32)));
typedef uint32_t BitLanes __attribute__((vector_size(32)));
typedef uint16_t HalfLanes __attribute__((vector_size(16)));
constexpr int kWidth = 8;

ATTUNE_INLINE void Load(const float* from, Lanes& lanes) {
  std::memcpy(&lanes, from, sizeof(lanes));
}

ATTUNE_INLINE void Load(const uint16_t* from, Lanes& lanes) {
  HalfLanes half;
  std::memcpy(&half, from, sizeof(half));
  const BitLanes bits = __builtin_convertvector(half, BitLanes) << 16;
  std::memcpy(&lanes, &bits, sizeof(lanes));
}

// out[m * columns] = x[m] . w for kRows rows of x at once: each element of w is
// loaded and widened once for all of them. Two sums per row hide the latency
// of the multiplier.
template <int kRows, typename Weight>
ATTUNE_INLINE void DotRows(const float* x, const Weight* w, float* out,
                           int64_t depth, int64_t columns) {
  Lanes even[kRows] = {};
  Lanes odd[kRows] = {};
  int64_t k = 0;
  for (; k + 2 * kWidth <= depth; k += 2 * kWidth) {
    Lanes w0, w1, x0, x1;
    Load(w + k, w0);
    Load(w + k + kWidth, w1);
    for (int m = 0; m < kRows; ++m) {
      Load(x + m * depth + k, x0);
      Load(x + m * depth + k + kWidth, x1);
      even[m] += x0 * w0;
      odd[m] += x1 * w1;
    }
  }
  for (int m = 0; m < kRows; ++m) {
    const Lanes lanes = even[m] + odd[m];
    float sum = 0;
    for (int j = 0; j < kWidth; ++j) sum += lanes[j];
    for (int64_t i = k; i < depth; ++i) {
      sum += x[m * depth + i] * WidenOne(w[i]);
    }
    out[m * columns] = sum;
  }
}

template <typename Weight>
ATTUNE_INLINE void SmallLinear(const float* x, const Weight* weight, float* out,
                               int64_t rows, int64_t depth, int64_t columns,
                               int64_t begin, int64_t end) {
  for (int64_t n = begin; n < end; ++n) {
    const Weight* w = weight + n * depth;
    int64_t m = 0;
    for (; m + 4 <= rows; m += 4) {
      DotRows<4>(x + m * depth, w, out + m * columns + n, depth, columns);
    }
    for (; m + 2 <= rows; m += 2) {
      DotRows<2>(x + m * depth, w, out + m * columns + n, depth, columns);
    }
    if (m < rows) {
      DotRows<1>(x + m * depth, w, out + m * columns + n, depth, columns);
    }
  }
}

ATTUNE_INLINE void Add(float* __restrict x, const float* __restrict y,
                       int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += y[i];
}

// What a row sees of each of its two pieces: [begin, begin + count).
struct SeenPieces {
  int64_t shared_begin;
  int64_t shared_count;
  int64_t own_begin;
  int64_t own_count;
};

ATTUNE_INLINE SeenPieces Seen(const ScorePieces& row) {
  const int64_t shared_begin = std::min(row.hidden, row.shared_length);
  const int64_t own_begin = row.hidden - shared_begin;
  return {shared_begin, row.shared_length - shared_begin, own_begin,
          std::max<int64_t>(0, row.visible - own_begin)};
}

// Zeroes what the row does not see.
ATTUNE_INLINE void Blank(const ScorePieces& row, const SeenPieces& seen) {
  std::fill(row.shared, row.shared + seen.shared_begin, 0.0f);
  std::fill(row.own, row.own + std::min(seen.own_begin, row.own_length), 0.0f);
  std::fill(row.own + row.visible, row.own + row.own_length, 0.0f);
}

template <typename Number>
ATTUNE_INLINE void AddRmsNormRows(const AddRmsNormArgs<Number>& args,
                                  int64_t begin, int64_t end) {
  const int64_t dim = args.dim;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = args.x + row * dim;
    float* sum = args.sum + row * dim;
    if (args.delta != nullptr) {
      const Number* delta = args.delta + row * dim;
      for (int64_t i = 0; i < dim; ++i) sum[i] = x[i] + WidenOne(delta[i]);
    } else if (sum != x) {
      std::memcpy(sum, x, static_cast<size_t>(dim) * sizeof(float));
    }
    const float mean = Dot(sum, sum, dim) / static_cast<float>(dim);
    const float inverse = 1.0f / std::sqrt(mean + args.epsilon);
    args.inverse_rms[row] = inverse;
    Number* __restrict out = args.out + row * dim;
    const float* __restrict weight = args.weight;
    for (int64_t i = 0; i < dim; ++i) {
      NarrowOne(sum[i] * inverse * weight[i], out[i]);
    }
    if (args.kept == nullptr) continue;
    Number* __restrict kept = args.kept + row * dim;
    for (int64_t i = 0; i < dim; ++i) NarrowOne(sum[i], kept[i]);
  }
}

template <typename Number>
ATTUNE_INLINE void AddRmsNormBackwardRows(
    const AddRmsNormBackwardArgs<Number>& args, int64_t begin, int64_t end) {
  const int64_t dim = args.dim;
  const float* __restrict weight = args.weight;
  for (int64_t row = begin; row < end; ++row) {
    const Number* __restrict sum = args.sum + row * dim;
    const Number* __restrict grad_out = args.grad_out + row * dim;
    float* __restrict grad = args.grad_sum + row * dim;
    const float inverse = args.inverse_rms[row];
    for (int64_t i = 0; i < dim; ++i) {
      grad[i] = WidenOne(grad_out[i]) * weight[i];
    }
    const float projection =
        Dot(grad, sum, dim) * inverse * inverse / static_cast<float>(dim);
    for (int64_t i = 0; i < dim; ++i) {
      grad[i] = inverse * (grad[i] - WidenOne(sum[i]) * projection);
    }
    if (args.grad_direct != nullptr) {
      Add(grad, args.grad_direct + row * dim, dim);
    }
    if (args.grad_delta == nullptr) continue;
    Number* __restrict delta = args.grad_delta + row * dim;
    for (int64_t i = 0; i < dim; ++i) NarrowOne(grad[i], delta[i]);
  }
}

template <typename Number>
ATTUNE_INLINE void SoftmaxBackwardRow(const ScorePieces& row,
                                      const Number* shared_probabilities,
                                      const Number* own_probabilities) {
  const SeenPieces seen = Seen(row);
  float* shared = row.shared + seen.shared_begin;
  float* own = row.own + seen.own_begin;
  const Number* shared_p = shared_probabilities + seen.shared_begin;
  const Number* own_p = own_probabilities + seen.own_begin;
  const float mean = Dot(own, own_p, seen.own_count) +
                     Dot(shared, shared_p, seen.shared_count);
  for (int64_t i = 0; i < seen.own_count; ++i) {
    own[i] = WidenOne(own_p[i]) * (own[i] - mean);
  }
  for (int64_t i = 0; i < seen.shared_count; ++i) {
    shared[i] = WidenOne(shared_p[i]) * (shared[i] - mean);
  }
  Blank(row, seen);
}

template <typename Number>
ATTUNE_INLINE void SwiGluRows(const Number* gate_up, Number* out, int64_t ffn,
                              int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const Number* __restrict gate = gate_up + row * 2 * ffn;
    const Number* __restrict up = gate + ffn;
    Number* __restrict to = out + row * ffn;
    for (int64_t i = 0; i < ffn; ++i) {
      const float x = WidenOne(gate[i]);
      NarrowOne(x / (1.0f + Exp(-x)) * WidenOne(up[i]), to[i]);
    }
  }
}

template <typename Number>
ATTUNE_INLINE void SwiGluBackwardRows(const Number* gate_up,
                                      const Number* grad_out,
                                      Number* grad_gate_up, int64_t ffn,
                                      int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const Number* __restrict gate = gate_up + row * 2 * ffn;
    const Number* __restrict up = gate + ffn;
    const Number* __restrict grads = grad_out + row * ffn;
    Number* __restrict grad_gate = grad_gate_up + row * 2 * ffn;
    Number* __restrict grad_up = grad_gate + ffn;
    for (int64_t i = 0; i < ffn; ++i) {
      const float x = WidenOne(gate[i]);
      const float grad = WidenOne(grads[i]);
      const float sigmoid = 1.0f / (1.0f + Exp(-x));
      const float silu = x * sigmoid;
      NarrowOne(grad * silu, grad_up[i]);
      NarrowOne(grad * WidenOne(up[i]) * (sigmoid + silu * (1.0f - sigmoid)),
                grad_gate[i]);
    }
  }
}

ATTUNE_CLONES void RoundRows(const float* in, int64_t in_stride, uint16_t* out,
                             int64_t out_stride, int64_t rows,
                             int64_t columns) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* __restrict from = in + row * in_stride;
    uint16_t* __restrict to = out + row * out_stride;
    for (int64_t i = 0; i < columns; ++i) NarrowOne(from[i], to[i]);
  }
}

#if defined(__x86_64__)
// The processor's own rounding, which also takes numbers too small for normal
// ones as 0.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void
ConvertRows(const float* in, int64_t in_stride, uint16_t* out,
            int64_t out_stride, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = in + row * in_stride;
    uint16_t* to = out + row * out_stride;
    int64_t i = 0;
    for (; i + 16 <= columns; i += 16) {
      const __m256bh narrow = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
      std::memcpy(to + i, &narrow, sizeof(narrow));
    }
    for (; i < columns; ++i) NarrowOne(from[i], to[i]);
  }
}
#endif

}  // namespace

ATTUNE_CLONES void AddRmsNorm(const AddRmsNormArgs<float>& args, int64_t begin,
                              int64_t end) {
  AddRmsNormRows(args, begin, end);
}

ATTUNE_CLONES void AddRmsNorm(const AddRmsNormArgs<uint16_t>& args,
                              int64_t begin, int64_t end) {
  AddRmsNormRows(args, begin, end);
}

ATTUNE_CLONES void AddRmsNormBackward(const AddRmsNormBackwardArgs<float>& args,
                                      int64_t begin, int64_t end) {
  AddRmsNormBackwardRows(args, begin, end);
}

ATTUNE_CLONES void AddRmsNormBackward(
    const AddRmsNormBackwardArgs<uint16_t>& args, int64_t begin, int64_t end) {
  AddRmsNormBackwardRows(args, begin, end);
}

ATTUNE_CLONES void Softmax(const ScorePieces& row) {
  const SeenPieces seen = Seen(row);
  float* shared = row.shared + seen.shared_begin;
  float* own = row.own + seen.own_begin;
  if (row.bias != nullptr) {
    Add(shared, row.bias + seen.shared_begin, seen.shared_count);
    Add(own, row.bias + row.shared_length + seen.own_begin, seen.own_count);
  }
  float max = -std::numeric_limits<float>::infinity();
  max = Max(own, seen.own_count, max);
  max = Max(shared, seen.shared_count, max);
  const float sum = ExpInPlace(own, seen.own_count, max) +
                    ExpInPlace(shared, seen.shared_count, max);
  Scale(own, seen.own_count, 1.0f / sum);
  Scale(shared, seen.shared_count, 1.0f / sum);
  Blank(row, seen);
}

ATTUNE_CLONES void SoftmaxBackward(const ScorePieces& row,
                                   const float* shared_probabilities,
                                   const float* own_probabilities) {
  SoftmaxBackwardRow(row, shared_probabilities, own_probabilities);
}

ATTUNE_CLONES void SoftmaxBackwardBf16(const ScorePieces& row,
                                       const uint16_t* shared_probabilities,
                                       const uint16_t* own_probabilities) {
  SoftmaxBackwardRow(row, shared_probabilities, own_probabilities);
}

ATTUNE_CLONES void SwiGlu(const float* gate_up, float* out, int64_t ffn,
                          int64_t begin, int64_t end) {
  SwiGluRows(gate_up, out, ffn, begin, end);
}

ATTUNE_CLONES void SwiGluBf16(const uint16_t* gate_up, uint16_t* out,
                              int64_t ffn, int64_t begin, int64_t end) {
  SwiGluRows(gate_up, out, ffn, begin, end);
}

ATTUNE_CLONES void SwiGluBackward(const float* gate_up, const float* grad_out,
                                  float* grad_gate_up, int64_t ffn,
                                  int64_t begin, int64_t end) {
  SwiGluBackwardRows(gate_up, grad_out, grad_gate_up, ffn, begin, end);
}

ATTUNE_CLONES void SwiGluBackwardBf16(const uint16_t* gate_up,
                                      const uint16_t* grad_out,
                                      uint16_t* grad_gate_up, int64_t ffn,
                                      int64_t begin, int64_t end) {
  SwiGluBackwardRows(gate_up, grad_out, grad_gate_up, ffn, begin, end);
}

void Narrow(const float* in, uint16_t* out, int64_t count) {
  NarrowRows(in, count, out, count, /*rows=*/1, count);
}

void NarrowRows(const float* in, int64_t in_stride, uint16_t* out,
                int64_t out_stride, int64_t rows, int64_t columns) {
#if defined(__x86_64__)
  static const bool has_bf16 = __builtin_cpu_supports("avx512bf16") != 0 &&
                               __builtin_cpu_supports("avx512vl") != 0;
  if (has_bf16) {
    ConvertRows(in, in_stride, out, out_stride, rows, columns);
    return;
  }
#endif
  RoundRows(in, in_stride, out, out_stride, rows, columns);
}

ATTUNE_CLONES void Widen(const uint16_t* __restrict in, float* __restrict out,
                         int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = WidenOne(in[i]);
}

ATTUNE_CLONES void SmallLinearBf16(const float* x, const uint16_t* weight,
                                   float* out, int64_t rows, int64_t depth,
                                   int64_t columns, int64_t begin,
                                   int64_t end) {
  SmallLinear(x, weight, out, rows, depth, columns, begin, end);
}

ATTUNE_CLONES void SmallLinearFp32(const float* x, const float* weight,
                                   float* out, int64_t rows, int64_t depth,
                                   int64_t columns, int64_t begin,
                                   int64_t end) {
  SmallLinear(x, weight, out, rows, depth, columns, begin, end);
}

}  // namespace attune::worker::cpu_rows
