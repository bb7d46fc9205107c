#include "worker/models/narrow_attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"
#include "worker/models/kept_rows.h"
#include "worker/models/packed_attention.h"

// A name of its own: several tests are compiled together.
namespace attune::worker::narrow_attention_test {
namespace {

using Own = AttentionLayout::Own;
using Layout = c10::intrusive_ptr<AttentionLayout>;
using Tensors = std::vector<at::Tensor>;

constexpr int64_t kKvHeads = 2;
constexpr int64_t kGroup = 3;

// Inputs are bf16 numbers; weights, results and what gradients are made of are
// rounded to 2^-9 of themselves on the way.
constexpr double kRounded = 8e-3;

// fp32 rows of q, k and v that are bf16 numbers.
Tensors Inputs(int64_t queries, int64_t keys, int64_t head_dim) {
  Tensors inputs;
  for (const int64_t rows : {queries * kGroup, keys, keys}) {
    inputs.push_back(RandomTensor({kKvHeads, rows, head_dim}, inputs.size() + 1)
                         .mul(0.5)
                         .to(at::kBFloat16)
                         .to(at::kFloat));
  }
  return inputs;
}

// With `narrow` as training in bf16 does it, else in fp32.
at::Tensor Attended(const Tensors& qkv, const Layout& layout,
                    const AttentionRule& rule, bool narrow, int64_t layer = 0) {
  const KeptRows kept(narrow ? at::kBFloat16 : at::kFloat);
  return PackedAttention({qkv[0], qkv[1], qkv[2]}, layer, layout, rule)
      .to(at::kDouble);
}

void ExpectRounded(const Tensors& inputs, const Layout& layout,
                   const AttentionRule& rule = {}, int64_t layer = 0) {
  Tensors exact_inputs;
  for (const at::Tensor& one : inputs) {
    exact_inputs.push_back(one.to(at::kFloat));
  }
  at::Tensor narrow;
  at::Tensor exact;
  const Tensors ours = Gradients(
      [&](const Tensors& in) {
        return narrow = Attended(in, layout, rule, /*narrow=*/true, layer);
      },
      inputs);
  const Tensors expected = Gradients(
      [&](const Tensors& in) {
        return exact = Attended(in, layout, rule, /*narrow=*/false, layer);
      },
      exact_inputs);

  EXPECT_LT(RelativeDifference(narrow, exact), kRounded);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ours[i].scalar_type(), inputs[i].scalar_type());
    EXPECT_LT(RelativeDifference(ours[i].to(at::kDouble), expected[i]),
              kRounded)
        << "qkv"[i];
  }
}

// Prompt, texts of different length behind it, one longer than a block of
// rows, branches behind two.
std::vector<Segment> Tree() {
  return {{.begin = 0, .length = 21},
          {.begin = 21, .length = 7, .parent = 0},
          {.begin = 28, .length = 1, .parent = 0},
          {.begin = 29, .length = 98, .parent = 0},
          {.begin = 127, .length = 2, .parent = 1},
          {.begin = 129, .length = 1, .parent = 1},
          {.begin = 130, .length = 3, .parent = 3}};
}

constexpr int64_t kTreeRows = 133;

Layout LayoutOf(const std::vector<Segment>& segments, Own own = Own::kCausal) {
  return c10::make_intrusive<AttentionLayout>(segments, own);
}

class NarrowAttention : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CpuHasBf16()) GTEST_SKIP() << "this CPU does not multiply bf16";
  }
};

TEST_F(NarrowAttention, ATreeIsTheExactOneRounded) {
  for (const int64_t head_dim : {4, 64, 80}) {
    ExpectRounded(Inputs(kTreeRows, kTreeRows, head_dim), LayoutOf(Tree()));
  }
}

TEST_F(NarrowAttention, SoIsALongPrompt) {
  ExpectRounded(Inputs(260, 260, 16),
                LayoutOf({{.begin = 0, .length = 200},
                          {.begin = 200, .length = 31, .parent = 0},
                          {.begin = 231, .length = 29, .parent = 0}}));
}

TEST_F(NarrowAttention, RowsOfAnEncoderSeeTheWholeSegment) {
  ExpectRounded(Inputs(kTreeRows, kTreeRows, 16), LayoutOf(Tree(), Own::kAll));
}

TEST_F(NarrowAttention, AWindowHidesEarlierKeys) {
  for (const int64_t window : {2, 9, 40}) {
    ExpectRounded(Inputs(kTreeRows, kTreeRows, 16), LayoutOf(Tree()),
                  {.window = window, .bias = {}});
  }
}

TEST_F(NarrowAttention, ABiasBelongsToTheDistance) {
  const at::Tensor bias =
      RandomTensor({kKvHeads * kGroup, 2 * (kTreeRows + 1) - 1}, 9);
  for (const Own own : {Own::kCausal, Own::kAll}) {
    ExpectRounded(Inputs(kTreeRows, kTreeRows, 16), LayoutOf(Tree(), own),
                  {.window = 0, .bias = bias});
  }
}

TEST_F(NarrowAttention, CrossAttentionSeesTheMemoryOnly) {
  using Cross = AttentionLayout::CrossSegment;
  ExpectRounded(Inputs(9, 14, 16),
                c10::make_intrusive<AttentionLayout>(
                    std::vector<Cross>{{.rows = {0, 3}, .memory = {0, 5}},
                                       {.rows = {3, 2}, .memory = {5, 9}},
                                       {.rows = {5, 4}, .memory = {5, 9}}}));
}

TEST_F(NarrowAttention, CachedKeysAreConstants) {
  const at::Tensor keys =
      RandomTensor({kKvHeads, 9, 16}, 5).to(at::kBFloat16).to(at::kFloat);
  const at::Tensor values =
      RandomTensor({kKvHeads, 9, 16}, 6).to(at::kBFloat16).to(at::kFloat);
  const KvBlock prefix({keys}, {values});

  ExpectRounded(Inputs(12, 12, 16),
                LayoutOf({{.begin = 0, .length = 4, .prefix = &prefix},
                          {.begin = 4, .length = 5, .prefix = &prefix},
                          {.begin = 9, .length = 3, .parent = 1}}));
  // A layer that the prefix leaves out.
  ExpectRounded(Inputs(12, 12, 16),
                LayoutOf({{.begin = 0, .length = 4, .prefix = &prefix},
                          {.begin = 4, .length = 5, .prefix = &prefix},
                          {.begin = 9, .length = 3, .parent = 1}}),
                {}, /*layer=*/1);
}

TEST_F(NarrowAttention, TakesAndGivesNarrowRows) {
  Tensors narrow;
  for (const at::Tensor& one : Inputs(kTreeRows, kTreeRows, 16)) {
    narrow.push_back(one.to(at::kBFloat16));
  }

  ExpectRounded(narrow, LayoutOf(Tree()));
}

TEST_F(NarrowAttention, IsTheSameWithoutAGraph) {
  const Tensors inputs = Inputs(kTreeRows, kTreeRows, 16);
  const Layout layout = LayoutOf(Tree());
  at::Tensor graphed;
  Gradients(
      [&](const Tensors& in) {
        return graphed = Attended(in, layout, {}, /*narrow=*/true);
      },
      inputs);

  EXPECT_TRUE(Attended(inputs, layout, {}, /*narrow=*/true).equal(graphed));
}

TEST_F(NarrowAttention, NarrowRowsOfOddHeadsAreWidened) {
  Tensors narrow;
  for (const at::Tensor& one : Inputs(12, 12, 7)) {
    narrow.push_back(one.to(at::kBFloat16));
  }

  ExpectRounded(narrow, LayoutOf({{.begin = 0, .length = 12}}));
}

TEST_F(NarrowAttention, TheSameThreadsGiveTheSameBits) {
  const Tensors inputs = Inputs(kTreeRows, kTreeRows, 16);
  const Layout layout = LayoutOf(Tree());
  const auto gradients = [&] {
    return Gradients(
        [&](const Tensors& in) { return Attended(in, layout, {}, true); },
        inputs);
  };
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    const Tensors first = gradients();
    const Tensors second = gradients();
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(first[i].equal(second[i]));
  }
  at::set_num_threads(before);
}

TEST_F(NarrowAttention, LeavesOddHeadsToTheOtherWay) {
  const Layout layout = LayoutOf({{.begin = 0, .length = 2}});
  const auto batch = [&](int64_t head_dim) {
    const Tensors in = Inputs(2, 2, head_dim);
    return AttentionBatch({in[0], in[1], in[2]}, /*layer=*/0, *layout);
  };

  EXPECT_FALSE(CanAttendNarrow(batch(7)));
  EXPECT_TRUE(CanAttendNarrow(batch(8)));
}

}  // namespace
}  // namespace attune::worker::narrow_attention_test
