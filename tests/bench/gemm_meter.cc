#include "tests/bench/gemm_meter.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "tests/bench/bench_task.h"

namespace attune::bench {
namespace {

constexpr int64_t kPeakSize = 2048;
constexpr int kPeakTrials = 8;
constexpr double kPeakSeconds = 10;  // that they take together, or one of them

// Callbacks of LibTorch are plain functions, so what they count is of the
// process.
std::atomic<int64_t> counted_nanoseconds{0};
std::atomic<int64_t> counted_flops{0};

// When a product began.
struct GemmBegin : at::ObserverContext {
  std::chrono::steady_clock::time_point time;
};

// Where a product has its left factor among the arguments, and whether the
// right one is transposed.
struct Product {
  int left;
  bool right_transposed;
};

std::optional<Product> ProductOf(std::string_view name) {
  if (name == "aten::mm" || name == "aten::bmm") return Product{0, false};
  if (name == "aten::addmm" || name == "aten::baddbmm") {
    return Product{1, false};
  }
  if (name == "attune::bf16_product") return Product{0, true};
  if (name == "attune::bf16_transposed_product") return Product{0, false};
  return std::nullopt;
}

std::unique_ptr<at::ObserverContext> BeginGemm(
    const at::RecordFunction& function) {
  const std::optional<Product> product = ProductOf(function.name());
  if (!product.has_value()) return nullptr;
  const at::Tensor& a = function.inputs()[product->left].toTensor();
  const at::Tensor& b = function.inputs()[product->left + 1].toTensor();
  counted_flops +=
      2 * a.numel() * b.size(product->right_transposed ? 0 : b.dim() - 1);
  auto begin = std::make_unique<GemmBegin>();
  begin->time = std::chrono::steady_clock::now();
  return begin;
}

void EndGemm(const at::RecordFunction&, at::ObserverContext* context) {
  if (context == nullptr) return;
  const auto taken =
      std::chrono::steady_clock::now() - static_cast<GemmBegin*>(context)->time;
  counted_nanoseconds +=
      std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count();
}

}  // namespace

GemmMeter::GemmMeter() {
  counted_nanoseconds = 0;
  counted_flops = 0;
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(BeginGemm, EndGemm)
                                      .needsInputs(true)
                                      .scopes({at::RecordScope::FUNCTION}));
}

GemmMeter::~GemmMeter() { at::removeCallback(handle_); }

GemmUse GemmMeter::use() const {
  return {.seconds = 1e-9 * static_cast<double>(counted_nanoseconds),
          .flops = static_cast<double>(counted_flops)};
}

double MeasurePeakFlops(c10::ScalarType dtype) {
  const at::Tensor a = at::ones({kPeakSize, kPeakSize}, dtype);
  double best = Seconds([&] { at::mm(a, a); });
  double total = best;
  for (int i = 1; i < kPeakTrials && total < kPeakSeconds; ++i) {
    const double seconds = Seconds([&] { at::mm(a, a); });
    best = std::min(best, seconds);
    total += seconds;
  }
  constexpr double kSize = static_cast<double>(kPeakSize);
  return 2 * kSize * kSize * kSize / best;
}

}  // namespace attune::bench
