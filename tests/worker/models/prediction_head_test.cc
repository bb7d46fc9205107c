#include "worker/models/prediction_head.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

// What ReadHead finds in a config with these members.
absl::StatusOr<ModelConfig> HeadOf(const std::string& members) {
  const auto reader =
      ConfigReader::Parse("{\"model_type\": \"bert\"" + members + "}");
  ModelConfig config;
  const absl::Status status = ReadHead(*reader, config);
  if (!status.ok()) return status;
  return config;
}

TEST(PredictionHead, DenseLayerAndNormAreOptional) {
  const at::Tensor x = RandomTensor({3, 4}, 1);
  const at::Tensor dense = RandomTensor({4, 4}, 2);
  const at::Tensor output = RandomTensor({2, 4}, 3);
  PredictionHead head;
  head.output = LinearLayer(output);

  EXPECT_LT(RelativeDifference(head.Forward(x), at::mm(x, output.t())), 1e-6);

  head.dense = LinearLayer(dense);
  head.activation = Activation::kTanh;
  EXPECT_LT(
      RelativeDifference(head.Forward(x),
                         at::mm(at::tanh(at::mm(x, dense.t())), output.t())),
      1e-6);
}

TEST(PredictionHead, TheSavingClassSaysWhichHeadThereIs) {
  EXPECT_EQ(HeadOf("")->head, EncoderHead::kNone);
  EXPECT_EQ(HeadOf(R"(, "architectures": ["BertModel"])")->head,
            EncoderHead::kNone);
  EXPECT_EQ(HeadOf(R"(, "architectures": ["BertForMaskedLM"])")->head,
            EncoderHead::kMaskedLanguage);
  EXPECT_EQ(HeadOf(R"(, "architectures": ["BertForQuestionAnswering"])")->head,
            EncoderHead::kSpan);
  EXPECT_THAT(HeadOf(R"(, "architectures": ["BertForMultipleChoice"])"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("BertForMultipleChoice")));
}

TEST(PredictionHead, LabelsAreCountedWhereTheyAreNamed) {
  const std::string head =
      R"(, "architectures": ["BertForTokenClassification"])";

  EXPECT_EQ(HeadOf(head)->num_labels, 2);
  EXPECT_EQ(HeadOf(head + R"(, "id2label": {"0": "O", "1": "B", "2": "I"})")
                ->num_labels,
            3);
}

}  // namespace
}  // namespace attune::worker
