#ifndef ATTUNE_WORKER_MODELS_MATRIX_PRODUCTS_H_
#define ATTUNE_WORKER_MODELS_MATRIX_PRODUCTS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace attune::worker {

// One of many small products of fp32 matrices in memory of the CPU. All sizes
// are positive. Matrices are row-major; strides are elements from row to row,
// as stored.
struct MatrixProduct {
  const float* left;   // [rows, depth]; left_transposed: stored [depth, rows]
  const float* right;  // [depth, columns]; right_transposed: [columns, depth]
  float* out;          // [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  int64_t left_stride = 0;
  int64_t right_stride = 0;
  int64_t out_stride = 0;
  bool left_transposed = false;
  bool right_transposed = false;
  bool add = false;  // to what `out` holds
};

// Computes all of `products`, whose outputs must not overlap, in one parallel
// region of the calling thread's compute threads. Every thread has about as
// much work: where its share ends a product is cut between two rows. So the
// last bits of a result may depend on the number of threads and on the other
// products; the same call gives the same bits. Many products of the size of an
// attention head take less time than a LibTorch call for each of them, and
// three heads keep two threads busy.
void Multiply(absl::Span<const MatrixProduct> products);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MATRIX_PRODUCTS_H_
