#include "worker/models/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <charconv>

#include "absl/status/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr char kCudaLibrary[] = "libtorch_cuda.so";
constexpr std::string_view kCudaPrefix = "cuda:";
constexpr int kMaxDeviceIndex = 127;

absl::Status OpenCuda(int index) {
  // Registers CUDA's operators when it is loaded; never closed.
  if (dlopen(kCudaLibrary, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return absl::FailedPreconditionError(
        Concat("CUDA is not available: ", dlerror(),
               "; install the CUDA build of LibTorch, or use --device=cpu"));
  }
  if (!at::globalContext().hasCUDA()) {
    return absl::FailedPreconditionError(
        "CUDA is not available: no NVIDIA driver or no visible GPU (see "
        "nvidia-smi and CUDA_VISIBLE_DEVICES); use --device=cpu");
  }
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (index >= count) {
    return absl::FailedPreconditionError(
        Concat("device cuda:", index, " does not exist: there are ", count));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<c10::Device> OpenDevice(std::string_view name) {
  if (name == "cpu") return c10::Device(c10::kCPU);
  if (name.starts_with(kCudaPrefix)) {
    const std::string_view number = name.substr(kCudaPrefix.size());
    int index = -1;
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), index);
    if (error == std::errc() && end == number.data() + number.size() &&
        index >= 0 && index <= kMaxDeviceIndex) {
      const absl::Status status = OpenCuda(index);
      if (!status.ok()) return status;
      return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    }
  }
  return absl::InvalidArgumentError(
      Concat("device '", name, "' is neither 'cpu' nor 'cuda:N'"));
}

absl::StatusOr<c10::ScalarType> ChooseDtype(std::string_view name,
                                            const c10::Device& device) {
  if (name == "fp32" || name == "float32") return c10::ScalarType::Float;
  if (name == "bf16" || name == "bfloat16") return c10::ScalarType::BFloat16;
  if (name == "auto") {
    return device.is_cuda() || CpuHasBf16() ? c10::ScalarType::BFloat16
                                            : c10::ScalarType::Float;
  }
  return absl::InvalidArgumentError(
      Concat("dtype '", name, "' is none of 'auto', 'fp32' and 'bf16'"));
}

bool CpuHasBf16() {
#if defined(__x86_64__)
  // CPUs with AMX have these too.
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0;
  return has;
#else
  return false;
#endif
}

bool IsCpuBf16(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16;
}

bool IsCpuFloat(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat;
}

}  // namespace attune::worker
