#include "worker/models/bf16_factors.h"

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <cstring>

#include "worker/models/cpu_numbers.h"

namespace attune::worker::bf16_factors {
namespace {

// The depth of one call: sums of more are added up in fp32 in memory. Powers of
// two, so that few kernels are made.
constexpr int64_t kMaxDepth = 256;

// Two neighbouring bf16 numbers.
typedef uint32_t Pair __attribute__((may_alias));

const at::BFloat16* Numbers(const uint16_t* bits) {
  return reinterpret_cast<const at::BFloat16*>(bits);
}

typedef uint16_t HalfLanes __attribute__((vector_size(64)));
typedef uint32_t PairLanes __attribute__((vector_size(64)));
// The same number of lanes as PairLanes.
typedef uint16_t OneLanes __attribute__((vector_size(32)));
constexpr int64_t kHalfLanes = 32;
constexpr int64_t kPairLanes = 16;

template <typename Lanes>
ATTUNE_INLINE void Load(const void* from, Lanes& lanes) {
  std::memcpy(&lanes, from, sizeof(lanes));
}

template <typename Lanes>
ATTUNE_INLINE void Store(const Lanes& lanes, void* to) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

// The pair of first[i] and second[i] -> out[i].
ATTUNE_INLINE void Interleave(const uint16_t* first, const uint16_t* second,
                              Pair* out, int64_t count) {
  int64_t i = 0;
  for (; i + kHalfLanes <= count; i += kHalfLanes) {
    HalfLanes a, b;
    Load(first + i, a);
    Load(second + i, b);
    Store(__builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5,
                                  37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11,
                                  43, 12, 44, 13, 45, 14, 46, 15, 47),
          out + i);
    Store(__builtin_shufflevector(a, b, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52,
                                  21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26,
                                  58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63),
          out + i + kPairLanes);
  }
  for (; i < count; ++i) {
    out[i] = first[i] | static_cast<uint32_t>(second[i]) << 16;
  }
}

ATTUNE_CLONES void InterleaveRows(const uint16_t* rows, int64_t stride,
                                  int64_t num_pairs, int64_t columns, Pair* out,
                                  int64_t out_columns) {
  for (int64_t i = 0; i < num_pairs; ++i) {
    Interleave(rows + 2 * i * stride, rows + (2 * i + 1) * stride,
               out + i * out_columns, columns);
  }
}

// The halves of a and b that interleave within every four (or two pairs of
// four) lanes: the two steps of a transposition that stay in 128 bits.
ATTUNE_INLINE void MixOnes(PairLanes& a, PairLanes& b) {
  const PairLanes low = __builtin_shufflevector(
      a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  b = __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27,
                              14, 30, 15, 31);
  a = low;
}

ATTUNE_INLINE void MixTwos(PairLanes& a, PairLanes& b) {
  const PairLanes low = __builtin_shufflevector(
      a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  b = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27,
                              14, 15, 30, 31);
  a = low;
}

// The even fours of lanes of a and b, and the odd ones.
ATTUNE_INLINE void MixFours(PairLanes& a, PairLanes& b) {
  const PairLanes even = __builtin_shufflevector(
      a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  b = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23,
                              28, 29, 30, 31);
  a = even;
}

// Transposes 16 x 16 pairs: calls store(column, its 16 pairs) for each column.
template <typename Save>
ATTUNE_INLINE void TransposeTile(const Pair* in, int64_t in_stride,
                                 const Save& save) {
  PairLanes rows[kPairLanes];
  for (int i = 0; i < kPairLanes; ++i) Load(in + i * in_stride, rows[i]);
  for (int i = 0; i < kPairLanes; i += 2) MixOnes(rows[i], rows[i + 1]);
  for (int i = 0; i < kPairLanes; i += 4) {
    MixTwos(rows[i], rows[i + 2]);
    MixTwos(rows[i + 1], rows[i + 3]);
  }
  // Now row 4 r + p holds, in its four fours, column p' of four rows from 4 r
  // on, where p' = 0, 2, 1, 3 for p = 0, 1, 2, 3, of columns 0, 4, 8 and 12 on.
  constexpr int kColumn[] = {0, 2, 1, 3};
  for (int p = 0; p < 4; ++p) {
    PairLanes &a = rows[p], &b = rows[4 + p], &c = rows[8 + p],
              &d = rows[12 + p];
    MixFours(a, b);
    MixFours(c, d);
    MixFours(a, c);
    MixFours(b, d);
    save(kColumn[p], a);
    save(kColumn[p] + 4, b);
    save(kColumn[p] + 8, c);
    save(kColumn[p] + 12, d);
  }
}

// out[column * out_stride + row] = in[row * in_stride + column]
template <typename Number>
ATTUNE_INLINE void TransposeBlock(const Number* __restrict in,
                                  int64_t in_stride, int64_t rows,
                                  int64_t columns, Number* __restrict out,
                                  int64_t out_stride) {
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      out[column * out_stride + row] = in[row * in_stride + column];
    }
  }
}

ATTUNE_CLONES void TransposePairs(const Pair* in, int64_t in_stride,
                                  int64_t rows, int64_t columns, Pair* out,
                                  int64_t out_stride) {
  const int64_t tiled_rows = rows / kPairLanes * kPairLanes;
  const int64_t tiled_columns = columns / kPairLanes * kPairLanes;
  for (int64_t row = 0; row < tiled_rows; row += kPairLanes) {
    for (int64_t column = 0; column < tiled_columns; column += kPairLanes) {
      Pair* to = out + column * out_stride + row;
      TransposeTile(
          in + row * in_stride + column, in_stride,
          [&](int i, const PairLanes& pairs) __attribute__((always_inline)) {
            Store(pairs, to + i * out_stride);
          });
    }
  }
  TransposeBlock(in + tiled_columns, in_stride, tiled_rows,
                 columns - tiled_columns, out + tiled_columns * out_stride,
                 out_stride);
  TransposeBlock(in + tiled_rows * in_stride, in_stride, rows - tiled_rows,
                 columns, out + tiled_rows, out_stride);
}

// columns and strides: even. A tile of pairs is split into its two columns.
ATTUNE_CLONES void TransposeOnes(const uint16_t* in, int64_t in_stride,
                                 int64_t rows, int64_t columns, uint16_t* out,
                                 int64_t out_stride) {
  const int64_t tiled_rows = rows / kPairLanes * kPairLanes;
  const int64_t tiled_columns = columns / kHalfLanes * kHalfLanes;
  for (int64_t row = 0; row < tiled_rows; row += kPairLanes) {
    for (int64_t column = 0; column < tiled_columns; column += kHalfLanes) {
      uint16_t* to = out + column * out_stride + row;
      TransposeTile(
          reinterpret_cast<const Pair*>(in + row * in_stride + column),
          in_stride / 2,
          [&](int i, const PairLanes& pairs) __attribute__((always_inline)) {
            Store(__builtin_convertvector(pairs, OneLanes),
                  to + 2 * i * out_stride);
            Store(__builtin_convertvector(pairs >> 16, OneLanes),
                  to + (2 * i + 1) * out_stride);
          });
    }
  }
  TransposeBlock(in + tiled_columns, in_stride, tiled_rows,
                 columns - tiled_columns, out + tiled_columns * out_stride,
                 out_stride);
  TransposeBlock(in + tiled_rows * in_stride, in_stride, rows - tiled_rows,
                 columns, out + tiled_rows, out_stride);
}

}  // namespace

void PackRows(const uint16_t* rows, int64_t stride, int64_t count,
              int64_t padded, int64_t columns, int64_t out_columns,
              uint16_t* out) {
  auto* pairs = reinterpret_cast<Pair*>(out);
  InterleaveRows(rows, stride, count / 2, columns, pairs, out_columns);
  int64_t row = count / 2 * 2;
  pairs += count / 2 * out_columns;
  if (row < count) {
    const uint16_t* last = rows + row * stride;
    for (int64_t i = 0; i < columns; ++i) pairs[i] = last[i];
    row += 2;
    pairs += out_columns;
  }
  for (; row < padded; row += 2, pairs += out_columns) {
    std::fill(pairs, pairs + columns, 0);
  }
}

void PackTransposed(const uint16_t* rows, int64_t stride, int64_t count,
                    int64_t padded, int64_t depth, uint16_t* out) {
  const int64_t pairs = depth / 2;
  const int64_t in_stride = stride / 2;
  const auto* in = reinterpret_cast<const Pair*>(rows);
  auto* to = reinterpret_cast<Pair*>(out);
  for (int64_t begin = 0; begin < padded; begin += kPanel) {
    const int64_t held = std::clamp<int64_t>(count - begin, 0, kPanel);
    const int64_t wanted = std::min(padded - begin, kPanel);
    TransposePairs(in + begin * in_stride, in_stride, held, pairs, to, kPanel);
    for (int64_t i = 0; i < pairs && held < wanted; ++i) {
      std::fill(to + i * kPanel + held, to + i * kPanel + wanted, 0);
    }
    to += pairs * kPanel;
  }
}

void Transpose(const uint16_t* rows, int64_t count, int64_t padded,
               int64_t columns, int64_t out_stride, uint16_t* out) {
  TransposeOnes(rows, columns, count, columns, out, out_stride);
  for (int64_t i = 0; i < columns; ++i) {
    std::fill(out + i * out_stride + count, out + i * out_stride + padded, 0);
  }
}

void Multiply(int64_t rows, int64_t columns, int64_t depth, const Left& left,
              const uint16_t* right, const Out& out, bool add) {
  int64_t begin = 0;
  for (int64_t part = kMaxDepth; begin < depth; part /= 2) {
    for (; begin + part <= depth; begin += part) {
      at::native::cpublas::brgemm(
          rows, columns, part, left.stride, columns, out.stride,
          add || begin > 0, Numbers(left.data + begin),
          Numbers(right + begin * columns), out.data, /*is_vnni=*/true);
    }
  }
}

void MultiplyPanels(int64_t rows, int64_t columns, int64_t depth,
                    const Left& left, const uint16_t* right, int64_t panel_size,
                    const Out& out, int64_t out_step, bool add) {
  for (int64_t begin = 0; begin < columns; begin += kPanel) {
    const int64_t panel = begin / kPanel;
    at::native::cpublas::brgemm(
        rows, std::min(columns - begin, kPanel), depth, left.stride, kPanel,
        out.stride, add, Numbers(left.data),
        Numbers(right + panel * panel_size), out.data + panel * out_step,
        /*is_vnni=*/true);
  }
}

template <typename Number>
Number* Room(at::Tensor& buffer, int64_t count) {
  if (!buffer.defined() || buffer.numel() < count) {
    buffer = at::empty({count},
                       at::TensorOptions().dtype(sizeof(Number) == sizeof(float)
                                                     ? at::kFloat
                                                     : at::kBFloat16));
  }
  return static_cast<Number*>(buffer.data_ptr());
}

template float* Room(at::Tensor& buffer, int64_t count);
template uint16_t* Room(at::Tensor& buffer, int64_t count);

at::Tensor EmptyRows(at::IntArrayRef sizes) {
  const int64_t size = c10::multiply_integers(sizes);
  return at::empty({size + kStep * sizes.back()}, at::kBFloat16)
      .narrow(0, 0, size)
      .view(sizes);
}

bool HasRoom(const at::Tensor& rows) {
  const int64_t end =
      rows.storage_offset() + rows.numel() + kStep * rows.size(-1);
  return rows.scalar_type() == at::kBFloat16 && rows.is_contiguous() &&
         static_cast<int64_t>(rows.storage().nbytes()) >=
             end * static_cast<int64_t>(sizeof(at::BFloat16));
}

void Release() { at::native::cpublas::brgemm_release(); }

}  // namespace attune::worker::bf16_factors
