#include "worker/prompts/stored_prefix.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

const std::string kFile(kPrefixFile);

// Two layers of 3 heads, 5 positions and 4 numbers, from the second layer on.
StoredPrefix TwoLayers() {
  const at::Tensor keys = at::arange(120, at::kFloat).view({2, 3, 5, 4});
  return {keys, keys + 0.5, 1};
}

attune::v1::PrefixTuning MethodOfTwoLayers() {
  attune::v1::PrefixTuning method;
  method.set_num_virtual_tokens(5);
  method.set_first_layer(1);
  method.set_num_layers(2);
  return method;
}

Artifact FileOf(TensorMap tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.contiguous();
  Artifact artifact;
  artifact.files[kFile] = *WriteSafetensors(tensors);
  return artifact;
}

TEST(StoredPrefix, ComesBackAsItWas) {
  Artifact artifact;

  ASSERT_OK(EncodePrefixLayers(TwoLayers(), artifact));
  const auto prefix = DecodePrefixLayers(artifact, MethodOfTwoLayers());

  ASSERT_OK(prefix);
  EXPECT_TRUE(prefix->keys.equal(TwoLayers().keys));
  EXPECT_TRUE(prefix->values.equal(TwoLayers().values));
  EXPECT_EQ(prefix->first_layer, 1);
}

TEST(StoredPrefix, NamesTheFileThatIsMissing) {
  EXPECT_THAT(DecodePrefixLayers(Artifact(), MethodOfTwoLayers()),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr(kFile)));
}

TEST(StoredPrefix, HoldsKeysAndValuesAndNothingElse) {
  const StoredPrefix sample = TwoLayers();
  for (const TensorMap& tensors :
       {TensorMap{{"keys", sample.keys}},
        TensorMap{{"keys", sample.keys}, {"scales", sample.values}},
        TensorMap{{"keys", sample.keys},
                  {"values", sample.values},
                  {"more", sample.values}}}) {
    EXPECT_THAT(DecodePrefixLayers(FileOf(tensors), MethodOfTwoLayers()),
                ReasonIs(Reason::kCorruptArtifact,
                         HasSubstr("'keys' and 'values' and no other")));
  }
}

TEST(StoredPrefix, HasTheShapeThatTheMethodSays) {
  const at::Tensor good = TwoLayers().keys;
  for (const at::Tensor& keys :
       {good[0], good.narrow(0, 0, 1), good.narrow(2, 0, 4),
        at::zeros({2, 0, 5, 4})}) {
    EXPECT_THAT(
        DecodePrefixLayers(FileOf({{"keys", keys}, {"values", keys}}),
                           MethodOfTwoLayers()),
        ReasonIs(Reason::kCorruptArtifact, HasSubstr("[2 layers, heads, 5")));
  }
  EXPECT_THAT(DecodePrefixLayers(
                  FileOf({{"keys", good}, {"values", good.narrow(1, 0, 2)}}),
                  MethodOfTwoLayers()),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("must both be")));
}

}  // namespace
}  // namespace attune::worker
