#include "worker/models/parameter_table.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

MatrixPart PartNamed(const std::string& name, int64_t rows) {
  return {{.in_checkpoint = "x." + name, .canonical = "model." + name}, rows};
}

TEST(ParameterTable, KnowsThePartsOfALayerByTheirNames) {
  const LinearLayer layer(RandomTensor({5, 3}, 1), RandomTensor({5}, 2));
  ParameterTable table;
  table.AddLayer({PartNamed("q", 2), PartNamed("k", 3)}, layer,
                 {.bias = true, .row_order = {}});

  EXPECT_THAT(table.Modules(), ElementsAre("model.k", "model.q"));
  EXPECT_TRUE(
      table.Value("model.k.weight").equal(layer.weight().narrow(0, 2, 3)));
  EXPECT_TRUE(table.Value("model.q.bias").equal(layer.bias().narrow(0, 0, 2)));
  ASSERT_NE(table.FindLayer("model.q"), nullptr);
  EXPECT_EQ(table.FindLayer("model.k"), nullptr);  // not the first part
  // Not a copy.
  EXPECT_EQ(table.parameters().at("model.q.weight").stored.data_ptr(),
            layer.weight().data_ptr());
}

TEST(ParameterTable, GivesTheShapeOfTheCheckpoint) {
  const at::Tensor order = at::tensor(std::vector<int64_t>{2, 0, 1});
  const at::Tensor in_checkpoint = RandomTensor({3, 4}, 1);
  ParameterTable table;
  table.AddLayer({PartNamed("t", 3)}, LinearLayer(RandomTensor({3, 4}, 2)),
                 {.transposed = true, .row_order = {}});
  table.AddLayer({PartNamed("o", 3)},
                 LinearLayer(at::index_select(in_checkpoint, 0, order)),
                 {.row_order = order});

  EXPECT_THAT(table.Shape("model.t.weight"), ElementsAre(4, 3));
  EXPECT_TRUE(table.Value("model.t.weight").equal(RandomTensor({3, 4}, 2).t()));
  EXPECT_TRUE(table.Value("model.o.weight").equal(in_checkpoint));
}

TEST(ParameterTable, ToModelFormTurnsAValueBack) {
  const at::Tensor order = at::tensor(std::vector<int64_t>{2, 0, 1});
  const at::Tensor held = RandomTensor({3, 4}, 1, at::kBFloat16);
  ParameterTable table;
  table.AddLayer({PartNamed("o", 3)}, LinearLayer(held),
                 {.transposed = true, .row_order = order});

  const at::Tensor form = ToModelForm(table.Value("model.o.weight"),
                                      table.parameters().at("model.o.weight"));

  EXPECT_EQ(form.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(form.is_contiguous());
  EXPECT_TRUE(form.equal(held));
}

TEST(ParameterTable, ForgetsWhatIsDropped) {
  ParameterTable table;
  table.Add({"a", "model.a"}, RandomTensor({2}, 1));
  table.Add({"missing", "model.missing"}, at::Tensor());

  EXPECT_TRUE(table.Contains("model.a"));
  EXPECT_FALSE(table.Contains("model.missing"));
  table.Drop("model.a");
  EXPECT_THAT(table.parameters(), IsEmpty());
}

TEST(LayerOf, IsTheFirstNumberOfAName) {
  EXPECT_EQ(LayerOf("model.layers.12.self_attn.q_proj"), 12);
  EXPECT_EQ(LayerOf("decoder.block.3.layer.1.EncDecAttention.q.weight"), 3);
  EXPECT_EQ(LayerOf("transformer.wte.weight"), std::nullopt);
  EXPECT_EQ(LayerOf("h2.x"), std::nullopt);
  EXPECT_EQ(LayerOf(""), std::nullopt);
}

TEST(NameInLayer, IsTheSameInEveryLayer) {
  EXPECT_EQ(NameInLayer("model.layers.12.self_attn.q_proj"),
            "self_attn.q_proj");
  EXPECT_EQ(NameInLayer("decoder.block.3.layer.1.EncDecAttention.q"),
            "layer.1.EncDecAttention.q");
  EXPECT_EQ(NameInLayer("project_in"), "project_in");
}

}  // namespace
}  // namespace attune::worker
