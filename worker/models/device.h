#ifndef ATTUNE_WORKER_MODELS_DEVICE_H_
#define ATTUNE_WORKER_MODELS_DEVICE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace attune::worker {

// Parses "cpu" or "cuda:N" and makes the device ready: for CUDA it opens
// libtorch_cuda, which registers itself. InvalidArgument for another name;
// FailedPrecondition saying what is missing (library, driver, device N).
absl::StatusOr<c10::Device> OpenDevice(std::string_view name);

// Parses "auto", "fp32" or "bf16" (also "float32", "bfloat16"): the dtype of
// the weights. "auto" is bf16 where the device multiplies bf16 in hardware
// (CUDA; x86 with AVX512-BF16 or AMX), else fp32. InvalidArgument for another
// name.
absl::StatusOr<c10::ScalarType> ChooseDtype(std::string_view name,
                                            const c10::Device& device);

// Whether this CPU has instructions for bf16 products.
bool CpuHasBf16();

// Whether the loops of cpu_rows.h can work on `x`.
bool IsCpuFloat(const at::Tensor& x);
// The same for those that take bits of bf16.
bool IsCpuBf16(const at::Tensor& x);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_DEVICE_H_
