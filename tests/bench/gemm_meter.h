#ifndef ATTUNE_TESTS_BENCH_GEMM_METER_H_
#define ATTUNE_TESTS_BENCH_GEMM_METER_H_

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace attune::bench {

// What matrix products took.
struct GemmUse {
  double seconds = 0;
  double flops = 0;  // a multiplication and an addition count as two
};

// Counts the time and the arithmetic of mm, addmm, bmm and baddbmm, and of the
// layers' own products (bf16_product.h), in the whole process from its
// construction to its end; the loops of cpu_rows for few rows and attention's
// own products (matrix_products.h, narrow_attention.h) are not among them. It
// costs a little itself, so what it measures is not what is timed. One at a
// time.
class GemmMeter {
 public:
  GemmMeter();
  ~GemmMeter();
  GemmMeter(const GemmMeter&) = delete;
  GemmMeter& operator=(const GemmMeter&) = delete;

  GemmUse use() const;

 private:
  uint64_t handle_ = 0;
};

// The operations a second of a large square product of `dtype`, the best of a
// few: what this machine reaches with the calling thread's compute threads.
double MeasurePeakFlops(c10::ScalarType dtype);

}  // namespace attune::bench

#endif  // ATTUNE_TESTS_BENCH_GEMM_METER_H_
