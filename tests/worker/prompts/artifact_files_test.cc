#include "worker/prompts/artifact_files.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

Artifact WithTensorFile(const TensorMap& tensors) {
  Artifact artifact;
  artifact.files["t.safetensors"] = *WriteSafetensors(tensors);
  return artifact;
}

TEST(ArtifactFiles, ReadsTensorsThatAreFiniteNumbers) {
  const auto read =
      ReadTensors(WithTensorFile({{"a", at::zeros({2, 3})}}), "t.safetensors");

  ASSERT_OK(read);
  EXPECT_TRUE(read->at("a").equal(at::zeros({2, 3})));
}

TEST(ArtifactFiles, NamesTheFileAndWhatIsWrong) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(FindFile(Artifact(), "x.json"),
              ReasonIs(Reason::kCorruptArtifact,
                       HasSubstr("'x.json' of the prompt's artifact: it is")));
  EXPECT_THAT(
      ReadTensors(WithTensorFile({{"a", at::full({2}, inf)}}), "t.safetensors"),
      ReasonIs(Reason::kCorruptArtifact, HasSubstr("'a' must be finite")));
  EXPECT_THAT(ReadTensors(WithTensorFile({{"a", at::zeros({2}, at::kDouble)}}),
                          "t.safetensors"),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("in F32")));
  Artifact broken;
  broken.files["t.safetensors"] = "not a file";
  EXPECT_THAT(ReadTensors(broken, "t.safetensors"),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("t.safetensors")));
}

}  // namespace
}  // namespace attune::worker
