#include "worker/models/linear_layer.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "worker/models/bf16_product.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"

namespace attune::worker {
namespace {

// Up to so many rows the loop of cpu_rows beats a GEMM call: few for the
// weights of a layer, more where a GEMM would have to widen them first or where
// they are an output head (measured with AVX2: 49152x576 at 4 rows 13 against
// 27 ms), hardly any where Bf16Product does the work (49152x576 at 2 rows 1.8
// against 3.1 ms, at 16 rows 10.7 against 4.7 ms).
constexpr int64_t kSmallRows = 6;
constexpr int64_t kSmallRowsOfHead = 16;
constexpr int64_t kSmallRowsOfBf16 = 2;
constexpr int64_t kHeadElements = int64_t{1} << 23;
// Elements of a weight that are widened at a time: the block stays in cache.
constexpr int64_t kBlockElements = int64_t{1} << 19;
// Weight elements that make a second thread worth waking.
constexpr int64_t kGrainElements = int64_t{1} << 15;

bool IsNarrowOnThisCpu(const at::Tensor& weight) {
  return weight.is_cpu() && weight.scalar_type() == at::kBFloat16 &&
         !CpuHasBf16();
}

const uint16_t* Bits(const at::Tensor& weight) {
  return reinterpret_cast<const uint16_t*>(
      weight.const_data_ptr<at::BFloat16>());
}

// Rows [begin, begin + count) of a bf16 weight [out, in] as fp32 in a buffer of
// the calling thread that the next call overwrites.
at::Tensor WidenRows(const at::Tensor& weight, int64_t begin, int64_t count) {
  thread_local at::Tensor scratch;
  const int64_t columns = weight.size(1);
  const int64_t size = count * columns;
  if (!scratch.defined() || scratch.numel() < size) {
    scratch = at::empty({std::max(size, kBlockElements)},
                        at::TensorOptions().dtype(at::kFloat));
  }
  const uint16_t* in = Bits(weight) + begin * columns;
  float* out = scratch.mutable_data_ptr<float>();
  at::parallel_for(0, size, kGrainElements, [&](int64_t from, int64_t to) {
    cpu_rows::Widen(in + from, out + from, to - from);
  });
  return scratch.narrow(0, 0, size).view({count, columns});
}

// Calls body(begin, count) for blocks of the weight's rows.
template <typename Body>
void ForBlocks(const at::Tensor& weight, const Body& body) {
  const int64_t step = std::max<int64_t>(1, kBlockElements / weight.size(1));
  for (int64_t begin = 0; begin < weight.size(0); begin += step) {
    body(begin, std::min(step, weight.size(0) - begin));
  }
}

at::Tensor SmallProduct(const at::Tensor& x, const at::Tensor& weight) {
  const int64_t rows = x.size(0);
  const int64_t depth = weight.size(1);
  const int64_t columns = weight.size(0);
  at::Tensor y = at::empty({rows, columns}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const bool narrow = weight.scalar_type() == at::kBFloat16;
  const uint16_t* bits = narrow ? Bits(weight) : nullptr;
  const float* full = narrow ? nullptr : weight.const_data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kGrainElements / depth);
  at::parallel_for(0, columns, grain, [&](int64_t begin, int64_t end) {
    if (narrow) {
      cpu_rows::SmallLinearBf16(in, bits, out, rows, depth, columns, begin,
                                end);
    } else {
      cpu_rows::SmallLinearFp32(in, full, out, rows, depth, columns, begin,
                                end);
    }
  });
  return y;
}

bool IsSmallProduct(const at::Tensor& x, const at::Tensor& weight) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat ||
      weight.scalar_type() == at::kDouble) {
    return false;
  }
  if (HasBf16Product(weight)) return x.size(0) <= kSmallRowsOfBf16;
  const bool as_head =
      IsNarrowOnThisCpu(weight) || weight.numel() >= kHeadElements;
  return x.size(0) <= (as_head ? kSmallRowsOfHead : kSmallRows);
}

// x: [n, in], weight: [out, in] -> [n, out] of `dtype`, in memory of its own.
// Only a product in the weight's own dtype has another one than fp32 rows.
at::Tensor WeightProduct(const at::Tensor& x, const at::Tensor& weight,
                         at::ScalarType dtype) {
  if (IsSmallProduct(x, weight)) {
    // A row is the same alone as among others, which are rounded.
    const at::Tensor rows =
        HasBf16Product(weight) ? x.to(at::kBFloat16).to(at::kFloat) : x;
    return SmallProduct(rows.contiguous(), weight).to(dtype);
  }
  if (HasBf16Product(weight)) return Bf16Product(x, weight, dtype);
  if (!IsNarrowOnThisCpu(weight)) {
    return at::mm(x.to(weight.scalar_type()), weight.t()).to(dtype);
  }
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  ForBlocks(weight, [&](int64_t begin, int64_t count) {
    at::Tensor columns = y.narrow(1, begin, count);
    at::mm_out(columns, x, WidenRows(weight, begin, count).t());
  });
  return y;
}

at::Tensor Product(const at::Tensor& x, const at::Tensor& weight,
                   const at::Tensor& bias, at::ScalarType dtype) {
  at::Tensor y = WeightProduct(x, weight, dtype);
  if (bias.defined()) y.add_(bias);
  return y;
}

// grad: [n, out], weight: [out, in] -> [n, in] of `dtype`
at::Tensor TransposedProduct(const at::Tensor& grad, const at::Tensor& weight,
                             at::ScalarType dtype) {
  if (HasBf16Product(weight)) {
    return Bf16TransposedProduct(grad, weight, dtype);
  }
  if (!IsNarrowOnThisCpu(weight)) {
    return at::mm(grad.to(weight.scalar_type()), weight).to(dtype);
  }
  at::Tensor sum = at::empty({grad.size(0), weight.size(1)}, grad.options());
  ForBlocks(weight, [&](int64_t begin, int64_t count) {
    const at::Tensor rows = WidenRows(weight, begin, count);
    const at::Tensor part = grad.narrow(1, begin, count);
    at::addmm_out(sum, sum, part, rows, /*beta=*/begin == 0 ? 0 : 1);
  });
  return sum;
}

// grad: [n, out], x: [n, in] -> gradient of the weight, [out, in], fp32
at::Tensor WeightGradient(const at::Tensor& grad, const at::Tensor& x) {
  return at::mm(grad.t(), x.to(grad.scalar_type()));
}

struct LinearLayerFunction
    : public torch::autograd::Function<LinearLayerFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias,
                            at::ScalarType dtype) {
    // A frozen weight outlives the graph; saving it costs no memory. The rows
    // are kept only for the gradient of a weight that is trained.
    context->save_for_backward(
        {weight, weight.requires_grad() ? x : at::Tensor()});
    context->saved_data["bias"] = bias.has_value() && bias->requires_grad();
    context->saved_data["dtype"] = x.scalar_type();
    return Product(x, weight, bias.value_or(at::Tensor()), dtype);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    torch::autograd::variable_list inputs(4);
    if (context->needs_input_grad(0)) {
      inputs[0] = TransposedProduct(
          grad, saved[0], context->saved_data["dtype"].toScalarType());
    }
    if (saved[1].defined()) inputs[1] = WeightGradient(grad, saved[1]);
    if (context->saved_data["bias"].toBool()) inputs[2] = grad.sum(0);
    return inputs;
  }
};

// x -> x with some numbers dropped and the others enlarged to make up for it.
at::Tensor Dropped(const at::Tensor& x, const LowRank& low_rank) {
  const double kept = 1 - low_rank.dropout;
  // Drawn on the CPU: the same on every device.
  const at::Tensor mask = at::empty(x.sizes(), at::kFloat)
                              .bernoulli_(kept, low_rank.generator)
                              .div_(kept);
  return x * mask.to(x.device());
}

bool NeedsGradient(const at::Tensor& tensor) {
  return tensor.defined() && tensor.requires_grad();
}

}  // namespace

LinearLayer::LinearLayer(at::Tensor weight, at::Tensor bias, LowRank low_rank)
    : weight_(std::move(weight)),
      bias_(std::move(bias)),
      low_rank_(std::move(low_rank)) {}

at::Tensor LinearLayer::Multiply(const at::Tensor& x,
                                 at::ScalarType dtype) const {
  const bool graph =
      at::GradMode::is_enabled() &&
      (x.requires_grad() || NeedsGradient(weight_) || NeedsGradient(bias_));
  return graph
             ? LinearLayerFunction::apply(
                   x, weight_,
                   bias_.defined() ? std::optional(bias_) : std::nullopt, dtype)
             : Product(x, weight_, bias_, dtype);
}

at::Tensor LinearLayer::Forward(const at::Tensor& x) const {
  const bool narrow = x.scalar_type() == at::kBFloat16;
  const at::Tensor y = Multiply(x, narrow ? at::kFloat : x.scalar_type());
  if (!low_rank_.defined()) return y;
  const at::Tensor wide = narrow ? x.to(at::kFloat) : x;
  const at::Tensor in = low_rank_.dropout > 0 ? Dropped(wide, low_rank_) : wide;
  return at::addmm(y, at::mm(in, low_rank_.down.t()), low_rank_.up.t());
}

at::Tensor LinearLayer::ForwardNarrow(const at::Tensor& x) const {
  const bool can = weight_.scalar_type() == at::kBFloat16 &&
                   !IsNarrowOnThisCpu(weight_) && !weight_.requires_grad() &&
                   !bias_.defined() && !low_rank_.defined();
  return can ? Multiply(x, at::kBFloat16) : Forward(x);
}

}  // namespace attune::worker
