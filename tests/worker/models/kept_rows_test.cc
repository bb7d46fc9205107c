#include "worker/models/kept_rows.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"
#include "worker/models/packed_attention.h"
#include "worker/models/rms_norm.h"
#include "worker/models/swiglu.h"

namespace attune::worker {
namespace {

// Sums of many numbers that are each off by at most 2^-9 of themselves.
constexpr double kRounded = 4e-3;

TEST(KeptRows, AreTheRowsThemselvesWithoutAScope) {
  const at::Tensor rows = RandomTensor({3, 4}, 1);

  EXPECT_TRUE(KeptRows::Keep(rows).is_same(rows));
}

TEST(KeptRows, AreNarrowWithinAScopeAndComeBackWide) {
  const at::Tensor rows = RandomTensor({3, 4}, 1);
  {
    const KeptRows narrow(at::kBFloat16);
    const at::Tensor kept = KeptRows::Keep(rows);

    EXPECT_EQ(kept.scalar_type(), at::kBFloat16);
    const at::Tensor restored = KeptRows::Restore(kept, rows);
    EXPECT_EQ(restored.scalar_type(), at::kFloat);
    EXPECT_LT(RelativeDifference(restored, rows), kRounded);
    {
      const KeptRows wide(at::kFloat);
      EXPECT_TRUE(KeptRows::Keep(rows).is_same(rows));
    }
    EXPECT_EQ(KeptRows::Keep(rows).scalar_type(), at::kBFloat16);
  }
  EXPECT_TRUE(KeptRows::Keep(rows).is_same(rows));
}

TEST(KeptRows, OfOtherNumbersThanFp32StayAsTheyAre) {
  const KeptRows narrow(at::kBFloat16);
  const at::Tensor rows = RandomTensor({3, 4}, 1, at::kDouble);

  EXPECT_TRUE(KeptRows::Keep(rows).is_same(rows));
}

TEST(KeptRows, AreNarrowOnlyWhereTheCpuMultipliesThem) {
  EXPECT_FALSE(KeptRows::narrow());
  {
    const KeptRows kept(at::kBFloat16);
    EXPECT_EQ(KeptRows::narrow(), CpuHasBf16());
  }
  const KeptRows kept(at::kFloat);
  EXPECT_FALSE(KeptRows::narrow());
}

// Of a norm, an attention over a shared beginning and a gated activation, as a
// decoder layer has them.
at::Tensor LayerOf(const std::vector<at::Tensor>& in) {
  const RmsNorm norm(RandomTensor({48}, 7), 1e-6);
  const auto layout = c10::make_intrusive<AttentionLayout>(
      std::vector<Segment>{{.begin = 0, .length = 4},
                           {.begin = 4, .length = 3, .parent = 0},
                           {.begin = 7, .length = 5, .parent = 0}});
  // Without gradients a norm uses up what it adds.
  const auto normed = norm.Forward(in[0], in[1].clone());
  const at::Tensor heads =
      normed.normalised.view({12, 6, 8}).transpose(0, 1).contiguous();
  const at::Tensor attended = PackedAttention(
      {heads.narrow(0, 0, 2), heads.narrow(0, 2, 2), heads.narrow(0, 4, 2)}, 0,
      layout);
  return normed.residual.narrow(1, 0, 8) + SwiGlu(attended);
}

TEST(KeptRows, RoundTheGradientsOfLayersAndWhatProductsTake) {
  const std::vector<at::Tensor> inputs = {RandomTensor({12, 48}, 1),
                                          RandomTensor({12, 48}, 2)};
  const at::Tensor exact_out = LayerOf(inputs);
  const auto exact = Gradients(LayerOf, inputs);

  const KeptRows narrow(at::kBFloat16);
  const auto rounded = Gradients(LayerOf, inputs);

  const at::Tensor out = LayerOf(inputs);
  EXPECT_EQ(out.equal(exact_out), !KeptRows::narrow());
  EXPECT_LT(RelativeDifference(out, exact_out), kRounded);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_FALSE(rounded[i].equal(exact[i]));
    EXPECT_LT(RelativeDifference(rounded[i], exact[i]), kRounded);
  }
}

}  // namespace
}  // namespace attune::worker
