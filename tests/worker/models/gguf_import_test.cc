#include "worker/models/gguf_import.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/models/gguf_builder.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Interleaves the halves of each head's rows, as llama.cpp stores Q and K.
at::Tensor Permute(const at::Tensor& weight, int64_t heads) {
  return weight.view({heads, 2, weight.size(0) / heads / 2, weight.size(1)})
      .transpose(1, 2)
      .reshape(weight.sizes())
      .contiguous();
}

// The tiny Llama of a directory as a GGUF file.
class TinyGguf {
 public:
  explicit TinyGguf(const std::string& directory)
      : weights_(*Safetensors::Open(directory + "/model.safetensors")) {
    builder.Set("general.architecture", "llama");
    builder.Set("llama.embedding_length", 32u);
    builder.Set("llama.block_count", 2u);
    builder.Set("llama.attention.head_count", 4u);
    builder.Set("llama.attention.head_count_kv", 2u);
    builder.Set("llama.feed_forward_length", 64u);
    builder.Set("llama.context_length", 256u);
    builder.Set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    builder.Set("llama.rope.freq_base", 10000.0f);
    SetTokenizer();
  }

  void AddWeights() {
    Add("token_embd", "model.embed_tokens");
    Add("output_norm", "model.norm");
    const std::pair<const char*, const char*> kLayer[] = {
        {"attn_norm", "input_layernorm"},
        {"attn_v", "self_attn.v_proj"},
        {"attn_output", "self_attn.o_proj"},
        {"ffn_norm", "post_attention_layernorm"},
        {"ffn_gate", "mlp.gate_proj"},
        {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"}};
    for (int i = 0; i < 2; ++i) {
      const std::string from = Concat("model.layers.", i, ".");
      const std::string to = Concat("blk.", i, ".");
      for (const auto& [name, hf] : kLayer) Add(to + name, from + hf);
      Add(to + "attn_q", from + "self_attn.q_proj", /*heads=*/4);
      Add(to + "attn_k", from + "self_attn.k_proj", /*heads=*/2);
    }
  }

  void Add(const std::string& name, const std::string& hf, int64_t heads = 0) {
    at::Tensor tensor = *weights_.Get(hf + ".weight");
    if (heads > 0) tensor = Permute(tensor, heads);
    std::vector<uint64_t> shape(tensor.sizes().rbegin(), tensor.sizes().rend());
    builder.Tensor(
        name + ".weight", shape, GgufBuilder::kF32,
        {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }

  void Write(const std::string& path) { WriteBytes(path, builder.Build()); }

  GgufBuilder builder;

 private:
  void SetTokenizer() {
    const Json model = Json::parse(TinyTokenizerJson())["model"];
    std::vector<std::string> tokens(model["vocab"].size());
    for (const auto& [token, id] : model["vocab"].items()) tokens[id] = token;
    std::vector<int32_t> types(tokens.size(), 1);
    types[0] = types[1] = types[2] = 3;
    std::vector<std::string> merges;
    for (const Json& pair : model["merges"]) {
      merges.push_back(
          Concat(pair[0].get<std::string>(), " ", pair[1].get<std::string>()));
    }
    builder.Set("tokenizer.ggml.model", "gpt2");
    builder.Set("tokenizer.ggml.pre", "smollm");
    builder.Set("tokenizer.ggml.tokens", tokens);
    builder.Set("tokenizer.ggml.token_type", types);
    builder.Set("tokenizer.ggml.merges", merges);
    builder.Set("tokenizer.ggml.bos_token_id", 1u);
    builder.Set("tokenizer.ggml.eos_token_id", 2u);
    builder.Set("tokenizer.chat_template", "{{ messages[0].content }}");
  }

  const Safetensors weights_;
};

class GgufImportTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(WriteTinyLlama(directory_ / "tiny")); }

  // Imports `gguf` as models/made.
  absl::Status Import(TinyGguf& gguf) {
    gguf.Write(directory_ / "m.gguf");
    return ImportGguf(directory_ / "m.gguf", directory_ / "models/made");
  }

  TempDirectory directory_;
};

TEST_F(GgufImportTest, GivesTheWeightsBackInHuggingFaceOrder) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();

  ASSERT_OK(Import(gguf));

  const auto original =
      Safetensors::Open(directory_ / "tiny/model.safetensors");
  const auto made =
      Safetensors::Open(directory_ / "models/made/model.safetensors");
  ASSERT_OK(made);
  ASSERT_EQ(made->entries().size(), original->entries().size());
  for (const auto& [name, entry] : original->entries()) {
    EXPECT_TRUE(at::equal(*made->View(name), *original->View(name))) << name;
  }
}

TEST_F(GgufImportTest, MakesAModelThatLoads) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();
  ASSERT_OK(Import(gguf));

  ModelStore store({.directory = directory_ / "models"});
  const auto loaded = store.Load("made");

  ASSERT_OK(loaded);
  const LoadedModel& model = **loaded;
  EXPECT_EQ(model.info.config.norm_epsilon, 1e-5);
  EXPECT_TRUE(model.info.config.tie_embeddings);
  EXPECT_EQ(model.bos_token, "<|im_start|>");
  EXPECT_EQ(model.eos_token, "<|im_end|>");
  EXPECT_THAT(model.stop_token_ids, testing::ElementsAre(2));
  EXPECT_NE(model.chat_template, nullptr);
}

TEST_F(GgufImportTest, SplitsDigitsAsSmollmDoes) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();
  ASSERT_OK(Import(gguf));

  const Json tokenizer =
      Json::parse(ReadBytes(directory_ / "models/made/tokenizer.json"));

  const Json& steps = tokenizer["pre_tokenizer"]["pretokenizers"];
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0]["type"], "Digits");
  EXPECT_EQ(steps[0]["individual_digits"], true);
  EXPECT_EQ(steps[1]["type"], "ByteLevel");
  EXPECT_EQ(tokenizer["added_tokens"].size(), 3u);
}

TEST_F(GgufImportTest, NeverReplacesADirectory) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();
  ASSERT_OK(Import(gguf));

  EXPECT_THAT(Import(gguf), StatusIs(absl::StatusCode::kAlreadyExists,
                                     HasSubstr("models/made exists")));
}

TEST_F(GgufImportTest, LeavesNothingBehindWhenItFails) {
  TinyGguf gguf(directory_ / "tiny");  // without weights

  EXPECT_THAT(Import(gguf), ReasonIs(Reason::kCorruptModel,
                                     HasSubstr("'token_embd.weight'")));
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "models"));
}

TEST_F(GgufImportTest, NamesAMissingTensor) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.Add("token_embd", "model.embed_tokens");
  gguf.Add("output_norm", "model.norm");

  EXPECT_THAT(Import(gguf), ReasonIs(Reason::kCorruptModel,
                                     HasSubstr("'blk.0.attn_norm.weight'")));
}

TEST_F(GgufImportTest, NamesASurplusTensor) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();
  gguf.Add("output_extra", "model.norm");

  EXPECT_THAT(Import(gguf), StatusIs(absl::StatusCode::kUnimplemented,
                                     HasSubstr("'output_extra.weight'")));
}

TEST_F(GgufImportTest, NamesATensorOfAnotherShape) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.Add("token_embd", "model.embed_tokens");
  gguf.Add("output_norm", "model.layers.0.mlp.up_proj");

  EXPECT_THAT(Import(gguf), ReasonIs(Reason::kCorruptModel,
                                     AllOf(HasSubstr("'output_norm.weight'"),
                                           HasSubstr("shape"))));
}

TEST_F(GgufImportTest, NamesAnArchitectureThatIsNotSupported) {
  for (const auto& [name, shown] :
       {std::pair{"mamba", "'mamba'"}, std::pair{"gemma2", "'gemma2'"},
        std::pair{"x\n\x1b", R"('x\n\x1b')"}}) {
    GgufBuilder builder;
    builder.Set("general.architecture", name);
    WriteBytes(directory_ / "m.gguf", builder.Build());

    EXPECT_THAT(
        ImportGguf(directory_ / "m.gguf", directory_ / "models/made"),
        StatusIs(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr(Concat("architecture ", shown)),
                       HasSubstr("gemma3, gpt2, llama, qwen2, qwen3"))));
  }
}

TEST_F(GgufImportTest, AsksToMergeThePartsOfAModel) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.builder.Set("split.count", 3u);

  EXPECT_THAT(Import(gguf), StatusIs(absl::StatusCode::kUnimplemented,
                                     HasSubstr("one of 3 parts")));
}

TEST_F(GgufImportTest, SizesThatCannotBeAreCorruption) {
  TinyGguf gguf(directory_ / "tiny");
  gguf.AddWeights();
  gguf.builder.Set("llama.attention.key_length", 7u);

  EXPECT_THAT(Import(gguf),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr("m.gguf"), HasSubstr("'head_dim'"))));
}

TEST_F(GgufImportTest, SaysWhenTheFileIsMissing) {
  EXPECT_THAT(ImportGguf(directory_ / "none.gguf", directory_ / "models/x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.gguf")));
}

}  // namespace
}  // namespace attune::worker
