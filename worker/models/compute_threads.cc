#include "worker/models/compute_threads.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <omp.h>

#include <algorithm>

// tcmalloc's, in <gperftools/malloc_extension_c.h>; null where the C library's
// allocator is in use.
extern "C" void MallocExtension_ReleaseFreeMemory() __attribute__((weak));

namespace attune::worker {
namespace {

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

void ReturnFreedMemory() {
  if (MallocExtension_ReleaseFreeMemory != nullptr) {
    MallocExtension_ReleaseFreeMemory();
    return;
  }
  malloc_trim(/*pad=*/0);
}

}  // namespace attune::worker
