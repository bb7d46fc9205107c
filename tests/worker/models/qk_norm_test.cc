#include "worker/models/qk_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

constexpr double kQkEpsilon = 1e-5;

// x: [n, heads * 4], by plain operations.
at::Tensor PlainNorm(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor heads = x.reshape({x.size(0), -1, 4});
  return (heads *
          at::rsqrt(at::mean(heads * heads, {2}, /*keepdim=*/true) +
                    kQkEpsilon) *
          weight)
      .reshape(x.sizes());
}

TEST(QkNorm, NormalisesQueryAndKeyHeadsOnly) {
  const HeadShape shape = {
      .heads = 6, .kv_heads = 2, .head_dim = 4, .scale = 1};
  const at::Tensor query = RandomTensor({4}, 1);
  const at::Tensor key = RandomTensor({4}, 2);
  const auto ours = [&](const std::vector<at::Tensor>& in) {
    return NormHeads(in[0], shape, RmsNorm(query, kQkEpsilon),
                     RmsNorm(key, kQkEpsilon));
  };
  const auto plain = [&](const std::vector<at::Tensor>& in) {
    return at::cat(
        {PlainNorm(in[0].narrow(1, 0, 24), query),
         PlainNorm(in[0].narrow(1, 24, 8), key), in[0].narrow(1, 32, 8)},
        1);
  };
  const std::vector<at::Tensor> inputs = {RandomTensor({3, 40}, 3)};

  EXPECT_LT(RelativeDifference(ours(inputs), plain(inputs)), 1e-6);
  EXPECT_LT(RelativeDifference(Gradients(ours, inputs)[0],
                               Gradients(plain, inputs)[0]),
            2e-6);
}

}  // namespace
}  // namespace attune::worker
