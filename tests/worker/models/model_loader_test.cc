#include "worker/models/model_loader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/model_files.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kTinyGpt2[] = "tests/golden/architectures/gpt2";
constexpr char kTinyBert[] = "tests/golden/architectures/bert";
constexpr char kTinyT5[] = "tests/golden/architectures/t5";

const at::Device kLoaderDevice(at::kCPU);

TEST(ModelLoader, LoadsEachKindAsItself) {
  auto gpt2 = *Checkpoint::Open(kTinyGpt2);
  auto bert = *Checkpoint::Open(kTinyBert);
  auto t5 = *Checkpoint::Open(kTinyT5);

  const auto causal = LoadCausalModel(*ReadModelConfig(kTinyGpt2), gpt2,
                                      kLoaderDevice, at::kBFloat16);
  const auto encoder = LoadEncoderModel(*ReadModelConfig(kTinyBert), bert,
                                        kLoaderDevice, at::kFloat);
  const auto encoder_decoder = LoadEncoderDecoderModel(
      *ReadModelConfig(kTinyT5), t5, kLoaderDevice, at::kFloat);

  ASSERT_OK(causal);
  EXPECT_EQ((*causal)->dtype(), at::kBFloat16);
  ASSERT_OK(encoder);
  EXPECT_EQ((*encoder)->config().kind, ModelKind::kEncoder);
  ASSERT_OK(encoder_decoder);
  EXPECT_EQ((*encoder_decoder)->config().kind, ModelKind::kEncoderDecoder);
}

TEST(ModelLoader, AnotherKindIsRefusedByName) {
  auto bert = *Checkpoint::Open(kTinyBert);

  EXPECT_THAT(LoadCausalModel(*ReadModelConfig(kTinyBert), bert, kLoaderDevice,
                              at::kFloat),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("bert"), HasSubstr("encoder"))));
}

TEST(ModelLoader, TensorsOfAnotherModelAreNamed) {
  auto gpt2 = *Checkpoint::Open(kTinyGpt2);

  EXPECT_THAT(LoadEncoderModel(*ReadModelConfig(kTinyBert), gpt2, kLoaderDevice,
                               at::kFloat),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("embeddings.word_embeddings.weight"),
                             HasSubstr("surplus"))));
}

}  // namespace
}  // namespace attune::worker
