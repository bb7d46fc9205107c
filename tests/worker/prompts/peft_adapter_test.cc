#include "worker/prompts/peft_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>
#include <utility>

#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class PeftAdapters : public testing::Test {
 protected:
  // A model with three layers and two key and value heads of width 4. An
  // encoder-decoder has four in its encoder.
  static ModelConfig Model(ModelKind kind) {
    ModelConfig config;
    config.kind = kind;
    config.embedding_dim = 12;
    config.dim = 16;
    const bool is_pair = kind == ModelKind::kEncoderDecoder;
    config.num_layers = is_pair ? 4 : 3;
    config.num_decoder_layers = is_pair ? 3 : 0;
    config.num_heads = 4;
    config.num_kv_heads = 2;
    config.head_dim = 4;
    config.context_length = 32;
    return config;
  }

  void WriteConfig(std::string_view json) const {
    WriteBytes(directory_ / "adapter_config.json", json);
  }

  void WriteRows(const at::Tensor& rows) const {
    WriteTensors({{"prompt_embeddings", rows.contiguous()}});
  }

  void WriteTensors(const TensorMap& tensors) const {
    ASSERT_OK(WriteSafetensorsFile(directory_ / "adapter_model.safetensors",
                                   tensors));
  }

  absl::StatusOr<PeftAdapter> Read(ModelKind kind = ModelKind::kCausal) const {
    return ReadPeftAdapter(directory_.path(), Model(kind));
  }

  // [rows, width] of different numbers.
  static at::Tensor Numbers(int64_t rows, int64_t width) {
    return at::arange(rows * width, at::kFloat).view({rows, width});
  }

  TempDirectory directory_;
};

TEST_F(PeftAdapters, RowsBeforeTheInputInEveryDtype) {
  const at::Tensor rows = Numbers(5, 12);
  for (const char* type : {"PROMPT_TUNING", "P_TUNING"}) {
    WriteConfig(Concat(R"({"peft_type": ")", type,
                       R"(", "task_type": "CAUSAL_LM", "token_dim": 12,
                           "num_layers": 3, "num_attention_heads": 4,
                           "num_transformer_submodules": 1,
                           "num_virtual_tokens": 5, "revision": null})"));
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      WriteRows(rows.to(dtype));

      const auto adapter = Read();

      ASSERT_OK(adapter);
      EXPECT_FALSE(adapter->is_prefix());
      EXPECT_EQ(adapter->num_rows(), 5);
      EXPECT_TRUE(at::equal(adapter->input_rows, rows)) << type;
    }
  }
}

TEST_F(PeftAdapters, OldFilesLeaveKeysOut) {
  WriteConfig(R"({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2})");
  WriteRows(Numbers(2, 12));

  ASSERT_OK(Read());
}

TEST_F(PeftAdapters, OfTwoSubmodulesTheEncoderGetsTheFirstRows) {
  WriteConfig(R"({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2,
                  "task_type": "SEQ_2_SEQ_LM"})");
  WriteRows(Numbers(4, 12));

  const auto adapter = Read(ModelKind::kEncoderDecoder);

  ASSERT_OK(adapter);
  EXPECT_TRUE(at::equal(adapter->input_rows, Numbers(2, 12)));
}

TEST_F(PeftAdapters, KeysAndValuesOfEveryLayer) {
  WriteConfig(R"({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 5,
                  "task_type": "CAUSAL_LM", "token_dim": 8, "num_layers": 3,
                  "num_attention_heads": 2, "prefix_projection": true})");
  const at::Tensor rows = Numbers(5, 3 * 2 * 2 * 4);
  WriteRows(rows);

  const auto adapter = Read();

  ASSERT_OK(adapter);
  ASSERT_TRUE(adapter->is_prefix());
  EXPECT_EQ(adapter->num_rows(), 5);
  ASSERT_EQ(adapter->keys.size(), 3u);
  ASSERT_EQ(adapter->values.size(), 3u);
  for (int64_t layer = 0; layer < 3; ++layer) {
    ASSERT_EQ(adapter->keys[layer].sizes(), (at::IntArrayRef{2, 5, 4}));
    ASSERT_EQ(adapter->values[layer].sizes(), (at::IntArrayRef{2, 5, 4}));
    for (int64_t head = 0; head < 2; ++head) {
      for (int64_t row = 0; row < 5; ++row) {
        // As PEFT's view and permute lay them out.
        const int64_t key = ((2 * layer + 0) * 2 + head) * 4 + 3;
        const int64_t value = ((2 * layer + 1) * 2 + head) * 4 + 3;
        EXPECT_EQ(adapter->keys[layer][head][row][3].item<float>(),
                  rows[row][key].item<float>());
        EXPECT_EQ(adapter->values[layer][head][row][3].item<float>(),
                  rows[row][value].item<float>());
      }
    }
  }
}

TEST_F(PeftAdapters, ADecoderGetsThePairsThatPeftGivesIt) {
  const at::Tensor rows = Numbers(1, 3 * 2 * 2 * 4);
  WriteRows(rows);
  for (const auto& [submodules, pairs] :
       {std::pair{2, std::vector<int64_t>{0, 2, 1}}, {1, {0, 1, 2}}}) {
    WriteConfig(Concat(R"({"peft_type": "PREFIX_TUNING",
                           "num_virtual_tokens": 1, "num_layers": 3,
                           "task_type": "SEQ_2_SEQ_LM",
                           "num_transformer_submodules": )",
                       submodules, "}"));

    const auto adapter = Read(ModelKind::kEncoderDecoder);

    ASSERT_OK(adapter);
    for (int64_t layer = 0; layer < 3; ++layer) {
      EXPECT_EQ(adapter->keys[layer][0][0][0].item<float>(), pairs[layer] * 16)
          << submodules << " " << layer;
      EXPECT_EQ(adapter->values[layer][0][0][0].item<float>(),
                pairs[layer] * 16 + 8)
          << submodules << " " << layer;
    }
  }
}

TEST_F(PeftAdapters, ADecoderMayHaveFewerLayersThanTheEncoder) {
  WriteConfig(R"({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 1,
                  "task_type": "SEQ_2_SEQ_LM", "num_layers": 4})");
  WriteRows(Numbers(1, 4 * 2 * 2 * 4));

  const auto adapter = Read(ModelKind::kEncoderDecoder);

  ASSERT_OK(adapter);
  ASSERT_EQ(adapter->keys.size(), 3u);
  EXPECT_EQ(adapter->keys[2][0][0][0].item<float>(), 0);  // pair 4 % 4

  WriteConfig(R"({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 1,
                  "task_type": "SEQ_2_SEQ_LM", "num_layers": 2})");
  EXPECT_THAT(Read(ModelKind::kEncoderDecoder),
              StatusIs(kInvalid, AllOf(HasSubstr("'num_layers' is 2"),
                                       HasSubstr("is 3"))));
}

TEST_F(PeftAdapters, NamesWhatDoesNotFitTheModel) {
  WriteRows(Numbers(2, 12));
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("peft_type": "LORA")", "'peft_type' is 'LORA'"},
      {R"("peft_type": null)", "'peft_type' is missing"},
      {R"("peft_type": "PROMPT_TUNING", "task_type": "SEQ_CLS")", "'SEQ_CLS'"},
      {R"("peft_type": "PROMPT_TUNING", "num_transformer_submodules": 2)",
       "'num_transformer_submodules' is 2"},
      {R"("peft_type": "P_TUNING", "token_dim": 16)",
       "'token_dim' is 16, but the width of the embeddings of the model is "
       "12"},
      {R"("peft_type": "PREFIX_TUNING", "num_attention_heads": 4)",
       "'num_attention_heads' is 4"},
      {R"("peft_type": "PREFIX_TUNING", "token_dim": 16)", "is 8"},
      {R"("peft_type": "PREFIX_TUNING", "num_layers": 4)",
       "'num_layers' is 4"}};
  for (const auto& [config, message] : kWrong) {
    WriteConfig(Concat("{\"num_virtual_tokens\": 2, ", config, "}"));
    EXPECT_THAT(Read(),
                StatusIs(kInvalid, AllOf(HasSubstr("adapter_config.json"),
                                         HasSubstr(message))))
        << config;
  }
  WriteConfig(R"({"peft_type": "P_TUNING", "num_virtual_tokens": 32})");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("context of 32")));
}

TEST_F(PeftAdapters, NamesWhatIsDamagedInTheConfig) {
  WriteRows(Numbers(2, 12));
  for (const char* config :
       {R"({"peft_type": 5, "num_virtual_tokens": 2})",
        R"({"peft_type": "P_TUNING"})",
        R"({"peft_type": "P_TUNING", "num_virtual_tokens": 0})",
        R"({"peft_type": "P_TUNING", "num_virtual_tokens": -2})",
        R"({"peft_type": "P_TUNING", "num_virtual_tokens": 1e300})",
        R"({"peft_type": "P_TUNING",
            "num_virtual_tokens": 18446744073709551615})",
        R"({"peft_type": "P_TUNING", "num_virtual_tokens": 2,
            "token_dim": "12"})",
        "[]", "{", ""}) {
    WriteConfig(config);
    EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss,
                                 HasSubstr("adapter_config.json: ")))
        << config;
  }
}

TEST_F(PeftAdapters, NamesWhatIsWrongWithTheTensor) {
  WriteConfig(R"({"peft_type": "P_TUNING", "num_virtual_tokens": 2})");
  const auto damaged = [](const char* message) {
    return ReasonIs(
        Reason::kCorruptArtifact,
        AllOf(HasSubstr("adapter_model.safetensors: "), HasSubstr(message)));
  };
  WriteRows(Numbers(3, 12));
  EXPECT_THAT(Read(), damaged("[3, 12]; adapter_config.json and the model ask "
                              "for [2, 12]"));
  WriteRows(Numbers(12, 2));
  EXPECT_THAT(Read(), damaged("[12, 2]"));
  WriteRows(Numbers(2, 12).view({24}));
  EXPECT_THAT(Read(), damaged("[24]"));
  WriteRows(Numbers(2, 12).to(at::kLong));
  EXPECT_THAT(Read(), damaged("F32, F16 or BF16"));
  WriteRows(at::full({2, 12}, std::numeric_limits<float>::infinity()));
  EXPECT_THAT(Read(), damaged("not finite"));
  WriteTensors({{"prompt", at::ones({2, 12})}});
  EXPECT_THAT(Read(), damaged("no tensor 'prompt_embeddings'"));
  WriteTensors({{"prompt_embeddings", Numbers(2, 12)},
                {"base_model.classifier.weight", Numbers(2, 12)}});
  EXPECT_THAT(
      Read(),
      StatusIs(kInvalid, AllOf(HasSubstr("adapter_model.safetensors"),
                               HasSubstr("'base_model.classifier.weight'"))));
  WriteBytes(directory_ / "adapter_model.safetensors", "no header");
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss,
                               HasSubstr("adapter_model.safetensors")));
}

TEST_F(PeftAdapters, NamesTheFileThatIsMissing) {
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("adapter_config.json")));
  WriteConfig(R"({"peft_type": "P_TUNING", "num_virtual_tokens": 2})");
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("adapter_model.safetensors")));
}

TEST_F(PeftAdapters, ReadsWhatTorchSavedWithoutRunningIt) {
  WriteConfig(R"({"peft_type": "P_TUNING", "num_virtual_tokens": 2})");
  // Holds other tensors: the file is read, and what it lacks is named.
  std::filesystem::copy_file("tests/golden/torch_file.bin",
                             directory_ / "adapter_model.bin");

  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptArtifact,
                               HasSubstr("adapter_model.bin: no tensor")));
}

}  // namespace
}  // namespace attune::worker
