#ifndef ATTUNE_WORKER_MODELS_BF16_FACTORS_H_
#define ATTUNE_WORKER_MODELS_BF16_FACTORS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

// Small products of bf16 bits into fp32 on CPUs that multiply bf16, and the
// shapes their factors have. A right factor [depth, columns] lies in pairs of
// rows: [depth / 2, columns, 2], what the instructions take. Sizes are rounded
// up to kStep so that few of the kernels that LibTorch makes as it needs them
// serve all lengths; a kernel takes a tenth of a millisecond to make and stays
// with its thread.
namespace attune::worker::bf16_factors {

constexpr int64_t kStep = 16;
// Columns of a panel: a wide right factor is cut into panels that lie one
// behind the other, the last one as long as the others.
constexpr int64_t kPanel = 64;

constexpr int64_t Padded(int64_t count) {
  return (count + kStep - 1) / kStep * kStep;
}
constexpr int64_t NumPanels(int64_t columns) {
  return (columns + kPanel - 1) / kPanel;
}

// The bits of a bf16 tensor.
inline uint16_t* BitsOf(const at::Tensor& x) {
  return static_cast<uint16_t*>(x.data_ptr());
}

// rows: [count, columns], `stride` elements from row to row -> a right factor
// of depth `padded`, [padded / 2, out_columns, 2]; rows from `count` on are 0,
// columns from `columns` on are left as they are. padded: even, >= count.
void PackRows(const uint16_t* rows, int64_t stride, int64_t count,
              int64_t padded, int64_t columns, int64_t out_columns,
              uint16_t* out);

// rows: [count, depth], `stride` elements from row to row -> their transpose as
// a right factor in panels [NumPanels(padded)][depth / 2, kPanel, 2]. Columns
// from `count` to `padded` are 0. depth and stride: even.
void PackTransposed(const uint16_t* rows, int64_t stride, int64_t count,
                    int64_t padded, int64_t depth, uint16_t* out);

// rows: [count, columns], contiguous -> out [columns, out_stride], their
// transpose; columns from `count` to `padded` are 0. columns: even.
void Transpose(const uint16_t* rows, int64_t count, int64_t padded,
               int64_t columns, int64_t out_stride, uint16_t* out);

// A left factor [rows, depth] of bf16 and a result [rows, columns] of fp32,
// row-major.
struct Left {
  const uint16_t* data;
  int64_t stride;
};
struct Out {
  float* data;
  int64_t stride;
};

// out = left right, where right is [depth / 2, columns, 2]. `depth` is a
// multiple of kStep; add: += in place of =.
void Multiply(int64_t rows, int64_t columns, int64_t depth, const Left& left,
              const uint16_t* right, const Out& out, bool add);

// The same with right in panels, `panel_size` elements from one to the next.
// Panel p goes to out.data + p * out_step. depth: even, in one sum.
void MultiplyPanels(int64_t rows, int64_t columns, int64_t depth,
                    const Left& left, const uint16_t* right, int64_t panel_size,
                    const Out& out, int64_t out_step, bool add);

// The first `count` elements, float or bf16 bits, of a tensor that grows when
// asked for more. What it held is lost then.
template <typename Number>
Number* Room(at::Tensor& buffer, int64_t count);

// Rows of bf16 on the CPU, not filled, the last size that of a row. There is
// room behind them for kStep rows: products read whole steps.
at::Tensor EmptyRows(at::IntArrayRef sizes);
// Whether `rows` are such, or lie so by chance.
bool HasRoom(const at::Tensor& rows);

// To be called by a thread after its last product: gives the processor's
// matrix registers back where there are some.
void Release();

}  // namespace attune::worker::bf16_factors

#endif  // ATTUNE_WORKER_MODELS_BF16_FACTORS_H_
