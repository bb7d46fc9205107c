#include "worker/models/matrix_products.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

// BLAS' own product of column-major matrices, which LibTorch's library brings.
extern "C" void sgemm_(const char* transpose_a, const char* transpose_b,
                       const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta,
                       float* c, const int* ldc);

namespace attune::worker {
namespace {

// Multiplications that make a second thread worth waking.
constexpr int64_t kMinShare = int64_t{1} << 17;

// Cuts are between rows whose numbers are multiples of this: BLAS' kernels work
// on blocks of rows.
constexpr int64_t kCutRows = 16;

// Of the rows [begin, end) of a product. Row-major matrices are their
// transposes to BLAS: out^T = right^T left^T.
void MultiplyRows(const MatrixProduct& product, int64_t begin, int64_t end) {
  const int m = static_cast<int>(product.columns);
  const int n = static_cast<int>(end - begin);
  const int k = static_cast<int>(product.depth);
  const int right_stride = static_cast<int>(product.right_stride);
  const int left_stride = static_cast<int>(product.left_stride);
  const int out_stride = static_cast<int>(product.out_stride);
  const float alpha = 1;
  const float beta = product.add ? 1 : 0;
  const float* left =
      product.left +
      begin * (product.left_transposed ? 1 : product.left_stride);
  sgemm_(product.right_transposed ? "T" : "N",
         product.left_transposed ? "T" : "N", &m, &n, &k, &alpha, product.right,
         &right_stride, left, &left_stride, &beta,
         product.out + begin * product.out_stride, &out_stride);
}

// The row of a product before which `work` of it is done, about.
int64_t RowAt(const MatrixProduct& product, int64_t work) {
  const int64_t row = work / (product.columns * product.depth);
  return std::min(product.rows, (row + kCutRows / 2) / kCutRows * kCutRows);
}

}  // namespace

void Multiply(absl::Span<const MatrixProduct> products) {
  // Of each product and those before it.
  std::vector<int64_t> work = {0};
  for (const MatrixProduct& product : products) {
    work.push_back(work.back() +
                   product.rows * product.columns * product.depth);
  }
  const int64_t shares =
      std::clamp<int64_t>(work.back() / kMinShare, 1, at::get_num_threads());
  at::parallel_for(0, shares, 1, [&](int64_t first, int64_t last) {
    const int64_t begin = work.back() * first / shares;
    const int64_t end = work.back() * last / shares;
    for (size_t i = 0; i < products.size(); ++i) {
      const MatrixProduct& product = products[i];
      if (work[i + 1] <= begin || work[i] >= end) continue;
      const int64_t from =
          work[i] >= begin ? 0 : RowAt(product, begin - work[i]);
      const int64_t to =
          work[i + 1] <= end ? product.rows : RowAt(product, end - work[i]);
      if (from < to) MultiplyRows(product, from, to);
    }
  });
}

}  // namespace attune::worker
