#include "worker/forward_command.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// tests/golden/make_*_golden.py say what is in it.
constexpr char kGoldenModels[] = "tests/golden/architectures/";
constexpr int kNumGoldenRows = 5;
// A prompt and a prefix stand before the first of them only.
constexpr int kNumGoldenPromptedRows = 3;
// Numbers are of order one to ten and few are summed: another order of fp32
// sums moves them by 1e-5 at most.
constexpr double kForwardTolerance = 1e-4;

using Ids = std::vector<int64_t>;

Ids IdsIn(const at::Tensor& tensor) {
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return Ids(data, data + tensor.numel());
}

std::string JsonList(const Ids& ids) {
  return Concat("[", absl::StrJoin(ids, ","), "]");
}

// [layers, heads, rows, width] twice -> as PEFT saves it.
at::Tensor PrefixMatrix(const at::Tensor& keys, const at::Tensor& values) {
  return at::stack({keys, values}, 1)
      .permute({3, 0, 1, 2, 4})
      .reshape({keys.size(2), -1})
      .contiguous();
}

// What the command writes for a tiny model, against Hugging Face transformers.
class ForwardCommand : public testing::Test {
 protected:
  void UseModel(const std::string& name) {
    options_.model_dir = Concat(kGoldenModels, name);
    auto golden =
        Safetensors::Open(Concat(kGoldenModels, name, ".safetensors"));
    ASSERT_OK(golden);
    golden_.emplace(*std::move(golden));
  }

  at::Tensor Golden(const std::string& name) const {
    auto tensor = golden_->Get(name);
    EXPECT_OK(tensor);
    return *tensor;
  }
  at::Tensor Golden(const char* name, int row) const {
    return Golden(Concat(name, ".", row));
  }

  // Lines with the first `count` inputs of the golden file.
  std::string GoldenRows(int count, bool with_decoder_ids = true) const {
    std::string lines;
    for (int row = 0; row < count; ++row) {
      lines += "{\"input_ids\": " + JsonList(IdsIn(Golden("input_ids", row)));
      for (const char* key : {"token_type_ids", "decoder_input_ids"}) {
        if (!golden_->Contains(Concat(key, ".", row))) continue;
        if (key[0] == 'd' && !with_decoder_ids) continue;
        lines += Concat(", \"", key, "\": ", JsonList(IdsIn(Golden(key, row))));
      }
      lines += "}\n";
    }
    return lines;
  }

  absl::StatusOr<int64_t> Run(std::string_view rows,
                              std::ostream* progress = nullptr) {
    WriteBytes(directory_ / "rows.jsonl", rows);
    options_.input_file = directory_ / "rows.jsonl";
    options_.output_file = directory_ / "out.safetensors";
    return RunForward(options_, progress);
  }

  // Runs rows that are right.
  Safetensors Output(std::string_view rows) {
    EXPECT_OK(Run(rows));
    auto output = Safetensors::Open(options_.output_file);
    EXPECT_OK(output);
    return *std::move(output);
  }

  void UseAdapter(const char* type, const char* task, int64_t num_layers,
                  const at::Tensor& tensor) {
    options_.prompt_dir = directory_ / "adapter";
    std::filesystem::create_directory(options_.prompt_dir);
    WriteBytes(Concat(options_.prompt_dir, "/adapter_config.json"),
               Concat(R"({"peft_type": ")", type, R"(", "task_type": ")", task,
                      R"(", "num_layers": )", num_layers,
                      R"(, "num_virtual_tokens": )", tensor.size(0), "}"));
    ASSERT_OK(WriteSafetensorsFile(
        Concat(options_.prompt_dir, "/adapter_model.safetensors"),
        {{"prompt_embeddings", tensor}}));
  }

  void UsePrompt(const char* task) {
    UseAdapter("PROMPT_TUNING", task, 2, Golden("prompt"));
    if (std::string(task) != "SEQ_2_SEQ_LM") return;
    // PEFT saves as many rows for the decoder, and feeds the encoder's.
    WriteBytes(Concat(options_.prompt_dir, "/adapter_config.json"),
               R"({"peft_type": "PROMPT_TUNING", "task_type": "SEQ_2_SEQ_LM",
                   "num_transformer_submodules": 2, "num_virtual_tokens": 4})");
    ASSERT_OK(WriteSafetensorsFile(
        Concat(options_.prompt_dir, "/adapter_model.safetensors"),
        {{"prompt_embeddings",
          at::cat({Golden("prompt"), Golden("prompt").neg()})}}));
  }

  void UsePrefix(const char* task) {
    const at::Tensor keys = Golden("prefix_keys");
    UseAdapter("PREFIX_TUNING", task, keys.size(0),
               PrefixMatrix(keys, Golden("prefix_values")));
  }

  static void ExpectNear(const Safetensors& output, const std::string& name,
                         const at::Tensor& expected) {
    const auto tensor = output.Get(name);
    ASSERT_OK(tensor);
    ASSERT_EQ(tensor->scalar_type(), at::kFloat) << name;
    ASSERT_EQ(tensor->sizes(), expected.sizes()) << name;
    EXPECT_LT((*tensor - expected).abs().max().item<double>(),
              kForwardTolerance)
        << name;
  }

  // `name` of the first `count` rows is what `golden_name` says.
  void ExpectRows(const Safetensors& output, int count, const char* name,
                  const char* golden_name) const {
    for (int row = 0; row < count; ++row) {
      EXPECT_EQ(IdsIn(*output.Get(Concat("input_ids.", row))),
                IdsIn(Golden("input_ids", row)));
      ExpectNear(output, Concat(name, ".", row), Golden(golden_name, row));
    }
  }

  // The golden continuation of a row, which does not stop, up to an end token.
  Ids GreedyIds(int row, int64_t end_token) const {
    Ids ids = IdsIn(Golden("greedy_ids", row));
    const auto end = std::find(ids.begin(), ids.end(), end_token);
    if (end != ids.end()) ids.erase(end + 1, ids.end());
    return ids;
  }

  TempDirectory directory_;
  ForwardOptions options_;
  std::optional<Safetensors> golden_;
};

struct DecoderCase {
  const char* name;
  int64_t end_token;
};

class ForwardDecoders : public ForwardCommand,
                        public testing::WithParamInterface<DecoderCase> {
 protected:
  void SetUp() override { UseModel(GetParam().name); }
};

TEST_P(ForwardDecoders, LogitsOfRaggedRows) {
  const Safetensors output = Output(GoldenRows(kNumGoldenRows));

  ExpectRows(output, kNumGoldenRows, "logits", "logits");
  EXPECT_EQ(output.entries().size(), 2u * kNumGoldenRows);
}

TEST_P(ForwardDecoders, LogitsBehindAPrompt) {
  UsePrompt("CAUSAL_LM");

  ExpectRows(Output(GoldenRows(kNumGoldenPromptedRows)), kNumGoldenPromptedRows,
             "logits", "prompt_logits");
}

TEST_P(ForwardDecoders, LogitsBehindAPrefix) {
  UsePrefix("CAUSAL_LM");

  ExpectRows(Output(GoldenRows(kNumGoldenPromptedRows)), kNumGoldenPromptedRows,
             "logits", "prefix_logits");
}

TEST_P(ForwardDecoders, GreedyContinuationsUpToTheirEnd) {
  options_.max_new_tokens = 30;

  const Safetensors output = Output(GoldenRows(kNumGoldenRows));

  // The logits are those of the input still.
  ExpectRows(output, kNumGoldenRows, "logits", "logits");
  for (int row = 0; row < kNumGoldenRows; ++row) {
    EXPECT_EQ(IdsIn(*output.Get(Concat("generated_ids.", row))),
              GreedyIds(row, GetParam().end_token))
        << row;
  }
}

// Every token is the likeliest one behind all before it, run at once.
TEST_P(ForwardDecoders, GeneratesBehindAPrompt) {
  UsePrompt("CAUSAL_LM");
  options_.max_new_tokens = 6;
  const Safetensors output = Output(GoldenRows(2));
  std::string lines;
  std::vector<Ids> generated;
  for (int row = 0; row < 2; ++row) {
    generated.push_back(IdsIn(*output.Get(Concat("generated_ids.", row))));
    ASSERT_FALSE(generated[row].empty());
    Ids ids = IdsIn(Golden("input_ids", row));
    ids.insert(ids.end(), generated[row].begin(), generated[row].end());
    lines += "{\"input_ids\": " + JsonList(ids) + "}\n";
  }
  options_.max_new_tokens = 0;

  const Safetensors whole = Output(lines);

  for (int row = 0; row < 2; ++row) {
    const int64_t first = Golden("input_ids", row).size(0) - 1;
    const auto logits = whole.Get(Concat("logits.", row));
    ASSERT_OK(logits);
    EXPECT_EQ(IdsIn(at::argmax(*logits, 1)
                        .narrow(0, first,
                                static_cast<int64_t>(generated[row].size()))),
              generated[row]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, ForwardDecoders,
    testing::Values(DecoderCase{"gpt2", 1}, DecoderCase{"llama", 2},
                    DecoderCase{"mistral", 2}, DecoderCase{"qwen3", 2},
                    DecoderCase{"gemma3_text", 2}, DecoderCase{"gpt_neox", 2},
                    DecoderCase{"opt_350m", 2}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(ForwardCommand, HiddenStatesOfAnEncoderWithoutAHead) {
  for (const char* name : {"bert", "xlm_roberta", "electra"}) {
    UseModel(name);
    options_.prompt_dir.clear();
    ExpectRows(Output(GoldenRows(kNumGoldenRows)), kNumGoldenRows,
               "last_hidden_state", "hidden");

    UsePrefix("FEATURE_EXTRACTION");
    ExpectRows(Output(GoldenRows(kNumGoldenPromptedRows)),
               kNumGoldenPromptedRows, "last_hidden_state", "prefix_hidden");
  }
}

TEST_F(ForwardCommand, AnEncodersPromptIsLeftOut) {
  UseModel("electra");  // whose embeddings are not as wide as its layers
  UsePrompt("FEATURE_EXTRACTION");

  const Safetensors output = Output(GoldenRows(kNumGoldenPromptedRows));

  for (int row = 0; row < kNumGoldenPromptedRows; ++row) {
    const at::Tensor hidden = Golden("prompt_hidden", row);
    const int64_t rows = Golden("prompt").size(0);
    ExpectNear(output, Concat("last_hidden_state.", row),
               hidden.narrow(0, rows, hidden.size(0) - rows));
  }
}

TEST_F(ForwardCommand, LogitsOfTheHeadAtEveryToken) {
  for (const char* name :
       {"bert_mlm", "bert_token", "bert_qa", "roberta_mlm", "distilbert_mlm"}) {
    UseModel(name);

    ExpectRows(Output(GoldenRows(kNumGoldenRows)), kNumGoldenRows, "logits",
               "logits");
  }
}

TEST_F(ForwardCommand, LogitsOfADiscriminatorAreAColumn) {
  UseModel("electra_discriminator");

  const Safetensors output = Output(GoldenRows(kNumGoldenRows));

  for (int row = 0; row < kNumGoldenRows; ++row) {
    ExpectNear(output, Concat("logits.", row),
               Golden("logits", row).unsqueeze(1));
  }
}

// Behind a prompt the head reads the prompt's first row, as with PEFT.
TEST_F(ForwardCommand, LogitsOfTheHeadForAWholeInput) {
  for (const char* name : {"bert_sequence", "roberta_sequence",
                           "distilbert_sequence", "electra_sequence"}) {
    UseModel(name);
    options_.prompt_dir.clear();
    const Safetensors bare = Output(GoldenRows(kNumGoldenRows));
    for (int row = 0; row < kNumGoldenRows; ++row) {
      ExpectNear(bare, Concat("logits.", row),
                 Golden("logits", row).unsqueeze(0));
    }

    UsePrompt("SEQ_CLS");
    const Safetensors prompted = Output(GoldenRows(kNumGoldenPromptedRows));
    for (int row = 0; row < kNumGoldenPromptedRows; ++row) {
      ExpectNear(prompted, Concat("logits.", row),
                 Golden("prompt_logits", row).unsqueeze(0));
    }
  }
}

class ForwardEncoderDecoders : public ForwardCommand,
                               public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { UseModel(GetParam()); }
};

TEST_P(ForwardEncoderDecoders, LogitsOfTheDecodersRows) {
  const Safetensors output = Output(GoldenRows(kNumGoldenRows));

  ExpectRows(output, kNumGoldenRows, "logits", "logits");
  for (int row = 0; row < kNumGoldenRows; ++row) {
    EXPECT_EQ(IdsIn(*output.Get(Concat("decoder_input_ids.", row))),
              IdsIn(Golden("decoder_input_ids", row)));
  }
}

TEST_P(ForwardEncoderDecoders, LogitsBehindAPrompt) {
  UsePrompt("SEQ_2_SEQ_LM");

  ExpectRows(Output(GoldenRows(kNumGoldenPromptedRows)), kNumGoldenPromptedRows,
             "logits", "prompt_logits");
}

TEST_P(ForwardEncoderDecoders, GreedyTextFromTheStartToken) {
  options_.max_new_tokens = 20;

  const Safetensors output =
      Output(GoldenRows(kNumGoldenRows, /*with_decoder_ids=*/false));

  for (int row = 0; row < kNumGoldenRows; ++row) {
    EXPECT_EQ(IdsIn(*output.Get(Concat("decoder_input_ids.", row))), Ids{0});
    EXPECT_EQ(IdsIn(*output.Get(Concat("generated_ids.", row))),
              GreedyIds(row, /*end_token=*/1))
        << row;
  }
}

// Steps against cached memories give what one pass gives.
TEST_P(ForwardEncoderDecoders, GeneratingLeavesTheLogitsAsTheyAre) {
  options_.max_new_tokens = 1;

  ExpectRows(Output(GoldenRows(kNumGoldenRows)), kNumGoldenRows, "logits",
             "logits");
}

INSTANTIATE_TEST_SUITE_P(Families, ForwardEncoderDecoders,
                         testing::Values("t5", "t5_v11", "mt5"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

// PEFT counts the layers of mT5's encoder, two, and gives the decoder's only
// one the first pair.
TEST_F(ForwardCommand, ADecodersPrefixAsPeftGivesIt) {
  UseModel("mt5");
  const at::Tensor keys = Golden("prefix_keys");
  const at::Tensor values = Golden("prefix_values");
  UseAdapter("PREFIX_TUNING", "SEQ_2_SEQ_LM", 2,
             PrefixMatrix(at::cat({keys, keys.neg()}),
                          at::cat({values, values.neg()})));

  ExpectRows(Output(GoldenRows(kNumGoldenPromptedRows)), kNumGoldenPromptedRows,
             "logits", "prefix_logits");
}

// A text gives what its ids give. An encoder of the family BERT with a
// vocabulary of a few words.
TEST_F(ForwardCommand, TextsAreTokenised) {
  UseModel("bert");
  const std::string model = directory_ / "model";
  std::filesystem::copy(options_.model_dir, model);
  WriteBytes(Concat(model, "/vocab.txt"),
             "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nzwei\n##er\ndrei\n");
  options_.model_dir = model;

  const Safetensors output = Output(
      "{\"text\": \"zweier\"}\n{\"input_ids\": [2, 5, 6, 3]}\n"
      "{\"text\": \"zwei\", \"text_pair\": \"drei\"}\n"
      "{\"input_ids\": [2, 5, 3, 7, 3], \"token_type_ids\": [0, 0, 0, 1, 1]}\n"
      "{\"input_ids\": [2, 5, 3, 7, 3]}\n"
      "{\"text\": \"\"}\n");

  const auto state = [&](int row) {
    return *output.Get(Concat("last_hidden_state.", row));
  };
  for (const int row : {0, 2}) {
    EXPECT_EQ(IdsIn(*output.Get(Concat("input_ids.", row))),
              IdsIn(*output.Get(Concat("input_ids.", row + 1))));
    // Rows of one batch are computed together, but not in one order.
    EXPECT_LT((state(row) - state(row + 1)).abs().max().item<double>(), 1e-5);
  }
  EXPECT_GT((state(3) - state(4)).abs().max().item<double>(), 1e-2);
  EXPECT_EQ(IdsIn(*output.Get("input_ids.5")), (Ids{2, 3}));
}

TEST_F(ForwardCommand, LongInputsTakeSeveralPassesAndSayHowFarTheyAre) {
  UseModel("llama");
  const std::string line = Concat(
      "{\"input_ids\": ", JsonList(IdsIn(Golden("input_ids", 4))), "}\n");
  std::string lines;
  for (int row = 0; row < 60; ++row) lines += line;  // of 48 tokens each
  std::ostringstream progress;

  const auto rows = Run(lines, &progress);

  ASSERT_OK(rows);
  EXPECT_EQ(*rows, 60);
  EXPECT_EQ(progress.str(), "\rrow 42 of 60\rrow 60 of 60\n");
  const auto output = Safetensors::Open(options_.output_file);
  ASSERT_OK(output);
  ExpectNear(*output, "logits.0", Golden("logits", 4));
  ExpectNear(*output, "logits.59", Golden("logits", 4));
}

TEST_F(ForwardCommand, APromptTakesPartOfTheContext) {
  UseModel("gpt2");
  UsePrompt("CAUSAL_LM");

  EXPECT_THAT(Run(GoldenRows(kNumGoldenRows)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rows.jsonl line 5: "),
                             HasSubstr("of which the prompt takes 4"))));
  EXPECT_FALSE(std::filesystem::exists(options_.output_file));
}

TEST_F(ForwardCommand, AnEncoderDoesNotGenerate) {
  UseModel("bert_mlm");
  options_.max_new_tokens = 3;

  EXPECT_THAT(Run(GoldenRows(1)), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("does not generate")));
}

TEST_F(ForwardCommand, APromptOfAnotherModelIsRefused) {
  UseModel("electra");
  UsePrompt("FEATURE_EXTRACTION");
  UseModel("bert");

  EXPECT_THAT(
      Run(GoldenRows(1)),
      ReasonIs(Reason::kCorruptArtifact,
               AllOf(HasSubstr("adapter_model.safetensors"),
                     HasSubstr("[4, 16]"), HasSubstr("ask for [4, 24]"))));
}

TEST_F(ForwardCommand, NamesWhatIsMissing) {
  UseModel("bert");
  options_.input_file = directory_ / "none.jsonl";
  options_.output_file = directory_ / "out.safetensors";
  EXPECT_THAT(RunForward(options_, nullptr),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.jsonl")));

  options_.output_file = directory_ / "none/out.safetensors";
  EXPECT_THAT(
      RunForward(options_, nullptr),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("none/out.safetensors")));

  options_.model_dir = directory_ / "no_model";
  EXPECT_THAT(Run("{}"), StatusIs(absl::StatusCode::kNotFound,
                                  HasSubstr("no_model/config.json")));

  options_.device = "cuda:120";
  EXPECT_THAT(Run("{}"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("cuda")));
}

}  // namespace
}  // namespace attune::worker
