#include "worker/models/compute_threads.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <omp.h>

#include <algorithm>

namespace attune::worker {
namespace {

constexpr int kKeepBytes = 1 << 30;

// LibTorch sets a new thread's count on first use, which would overwrite ours
// later. What is inline in its headers and what is compiled into the library
// remember apart from each other whether that has happened.
void FinishFirstUse() {
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
}

}  // namespace

void SetComputeThreads(int count) {
  // at::set_num_threads would change other threads too: it also sets MKL's
  // process-wide count. OpenMP's is the calling thread's own, and MKL and
  // oneDNN follow it.
  FinishFirstUse();
  omp_set_num_threads(std::max(count, 1));
}

int ComputeThreads() {
  FinishFirstUse();
  return omp_get_max_threads();
}

void ReleaseComputeThreads() {
  omp_pause_resource(omp_pause_soft, omp_get_initial_device());
}

void TuneAllocator() {
  mallopt(M_MMAP_THRESHOLD, kKeepBytes);
  mallopt(M_TRIM_THRESHOLD, kKeepBytes);
  // Few arenas: memory that one compute thread freed serves the others.
  mallopt(M_ARENA_MAX, 2);
}

void ReturnFreedMemory() { malloc_trim(/*pad=*/0); }

}  // namespace attune::worker
