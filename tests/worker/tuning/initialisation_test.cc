#include "worker/tuning/initialisation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::attune::v1::PromptTuning;
using ::testing::HasSubstr;

PromptTuning Method(PromptTuning::Initialisation initialisation, int tokens) {
  PromptTuning method;
  method.set_initialisation(initialisation);
  method.set_num_virtual_tokens(tokens);
  return method;
}

const TaskProgram& Program() {
  static const auto program = CompileTask(LabelTask({"12", "34"}));
  return *program;
}

std::vector<PreparedExample> Train() {
  return *PrepareExamples(Program(),
                          {{.fields = R"({"text": "abc abc"})", .answer = "12"},
                           {.fields = R"({"text": "xyz"})", .answer = "34"}});
}

at::Tensor Rows(const PromptTuning& method, uint64_t seed = 0) {
  const auto rows = MakeInitialRows(method, Program(), Train(), 0.5, seed);
  EXPECT_OK(rows);
  return *rows;
}

at::Tensor Embedded(const std::vector<int64_t>& ids) {
  return Program().model().model->Embed(at::tensor(ids));
}

std::vector<int64_t> Encode(const std::string& text) {
  return Program().model().tokenizer->Encode(text, false)->ids;
}

TEST(Initialisation, TextIsRepeated) {
  PromptTuning method = Method(PromptTuning::INITIALISATION_TEXT, 5);
  method.set_init_text("12");
  const std::vector<int64_t> ids = Encode("12");
  ASSERT_EQ(ids.size(), 2u);

  EXPECT_TRUE(
      Rows(method).equal(Embedded({ids[0], ids[1], ids[0], ids[1], ids[0]})));
}

TEST(Initialisation, TextIsCut) {
  PromptTuning method = Method(PromptTuning::INITIALISATION_TEXT, 2);
  method.set_init_text("1234");
  const std::vector<int64_t> ids = Encode("1234");

  EXPECT_TRUE(Rows(method).equal(Embedded({ids[0], ids[1]})));
}

TEST(Initialisation, ClassLabelsMakeASentence) {
  std::vector<int64_t> ids = Encode("Classify the text: 12, 34.");
  const int count = static_cast<int>(ids.size());
  ids.push_back(ids[0]);

  EXPECT_TRUE(Rows(Method(PromptTuning::INITIALISATION_CLASS_LABELS, count + 1))
                  .equal(Embedded(ids)));
}

TEST(Initialisation, SampledVocabularyComesFromTheTrainingRows) {
  const at::Tensor rows =
      Rows(Method(PromptTuning::INITIALISATION_SAMPLED_VOCABULARY, 6));

  std::set<int64_t> used;
  for (const PreparedExample& example : Train()) {
    used.insert(example.input.ids.begin(), example.input.ids.end());
  }
  const at::Tensor table =
      Embedded(std::vector<int64_t>(used.begin(), used.end()));
  std::set<int64_t> found;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    for (int64_t j = 0; j < table.size(0); ++j) {
      if (rows[i].equal(table[j])) found.insert(j);
    }
  }
  EXPECT_EQ(found.size(), 6u) << "six rows of different tokens";
}

TEST(Initialisation, TheSeedDecides) {
  for (const auto initialisation :
       {PromptTuning::INITIALISATION_SAMPLED_VOCABULARY,
        PromptTuning::INITIALISATION_SCALED_RANDOM}) {
    const PromptTuning method = Method(initialisation, 4);

    EXPECT_TRUE(Rows(method, 1).equal(Rows(method, 1)));
    EXPECT_FALSE(Rows(method, 1).equal(Rows(method, 2)));
  }
}

TEST(Initialisation, NoiseHasTheScaleOfTheTable) {
  const at::Tensor rows =
      Rows(Method(PromptTuning::INITIALISATION_SCALED_RANDOM, 100));

  // 3,200 numbers: the deviation is known to about 1 %.
  EXPECT_NEAR(rows.std().item<double>(), 0.5, 0.03);
  EXPECT_NEAR(rows.mean().item<double>(), 0, 0.04);
}

TEST(Initialisation, RefusesATextWithoutTokens) {
  const auto rows = MakeInitialRows(
      Method(PromptTuning::INITIALISATION_TEXT, 4), Program(), Train(), 0.5, 0);

  EXPECT_THAT(rows, ReasonIs(Reason::kInvalidField, HasSubstr("init_text")));
}

// A version of the tiny model with rows or with a prefix of 3 positions.
StoredPrompt RowsVersion() {
  StoredPrompt stored;
  stored.rows = *SoftPrompt::Create(TinyPrompt());
  stored.manifest.set_base_model("models/tiny");
  stored.manifest.set_model_fingerprint(TinyModel()->info.fingerprint);
  return stored;
}

StoredPrompt PrefixVersion() {
  const ModelConfig& config = TinyModel()->info.config;
  StoredPrompt stored = RowsVersion();
  stored.rows.reset();
  const at::Tensor positions = at::arange(3, at::kFloat).view({1, 1, 3, 1});
  stored.prefix.keys = positions.expand(
      {config.num_layers, config.num_kv_heads, 3, config.head_dim});
  stored.prefix.values = 10 + stored.prefix.keys;
  return stored;
}

attune::v1::TuningMethod PromptFrom(int tokens) {
  attune::v1::TuningMethod method;
  *method.mutable_prompt_tuning() =
      Method(PromptTuning::INITIALISATION_VERSION, tokens);
  method.mutable_prompt_tuning()->set_init_version("prompts/x/versions/1");
  return method;
}

attune::v1::TuningMethod PrefixFrom(PromptTuning::Initialisation initialisation,
                                    int tokens) {
  attune::v1::TuningMethod method;
  method.mutable_prefix_tuning()->set_initialisation(initialisation);
  method.mutable_prefix_tuning()->set_num_virtual_tokens(tokens);
  return method;
}

absl::StatusOr<TensorMap> StartFront(const attune::v1::TuningMethod& method,
                                     const StoredPrompt* version = nullptr) {
  return MakeInitialFront(method, Program(), Train(), 0.5, 0, version);
}

TEST(Initialisation, RowsOfAVersionAreCutOrRepeated) {
  const StoredPrompt version = RowsVersion();
  const at::Tensor rows = version.rows->rows();

  EXPECT_TRUE(StartFront(PromptFrom(2), &version)
                  ->at("prompt")
                  .equal(rows.slice(0, 0, 2)));
  EXPECT_TRUE(StartFront(PromptFrom(5), &version)
                  ->at("prompt")
                  .equal(at::cat({rows, rows.slice(0, 0, 2)})));
}

TEST(Initialisation, APrefixOfAVersionIsCutOrRepeatedAlongItsLength) {
  const StoredPrompt version = PrefixVersion();

  const TensorMap front = *StartFront(
      PrefixFrom(PromptTuning::INITIALISATION_VERSION, 4), &version);

  const at::Tensor expected = at::tensor({0.0f, 1.0f, 2.0f, 0.0f});
  EXPECT_TRUE(front.at("prefix.keys").select(3, 0)[1][0].equal(expected));
  EXPECT_TRUE(
      front.at("prefix.values").select(3, 0)[0][1].equal(10 + expected));
}

TEST(Initialisation, APrefixFromRowsIsWhatTheModelMakesOfThem) {
  const StoredPrompt version = RowsVersion();

  const TensorMap front = *StartFront(
      PrefixFrom(PromptTuning::INITIALISATION_VERSION, 3), &version);

  const auto block = *TinyModel()->model->BuildPrefix(version.rows->rows());
  EXPECT_TRUE(front.at("prefix.keys")[1].equal(block->keys(1)));
  EXPECT_TRUE(front.at("prefix.values")[0].equal(block->values(0)));
}

TEST(Initialisation, APrefixIsNotTurnedBackIntoRows) {
  const StoredPrompt version = PrefixVersion();

  EXPECT_THAT(StartFront(PromptFrom(3), &version),
              ReasonIs(Reason::kIllegalState,
                       HasSubstr("prompt_tuning.init_version: the version has "
                                 "no rows")));
}

TEST(Initialisation, APrefixCanStartAsZeros) {
  const TensorMap front =
      *StartFront(PrefixFrom(PromptTuning::INITIALISATION_ZERO, 4));
  const ModelConfig& config = TinyModel()->info.config;
  const std::vector<int64_t> shape = {config.num_layers, config.num_kv_heads, 4,
                                      config.head_dim};

  EXPECT_TRUE(front.at("prefix.keys").equal(at::zeros(shape)));
  EXPECT_TRUE(front.at("prefix.values").equal(at::zeros(shape)));
  EXPECT_NE(front.at("prefix.keys").data_ptr(),
            front.at("prefix.values").data_ptr());
}

TEST(Initialisation, ANetworkStandsBesideTheRowsItStartsFrom) {
  attune::v1::TuningMethod method;
  *method.mutable_prompt_tuning() =
      Method(PromptTuning::INITIALISATION_SAMPLED_VOCABULARY, 4);
  const TensorMap plain = *StartFront(method);
  method.mutable_prompt_tuning()->set_reparameterisation(
      PromptTuning::REPARAMETERISATION_MLP);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(8);

  const TensorMap front = *StartFront(method);

  EXPECT_TRUE(front.at("prompt").equal(plain.at("prompt")));
  EXPECT_EQ(front.size(), 7u);  // and three layers of two
  EXPECT_EQ(front.at("encoder.last.weight").sizes(), (at::IntArrayRef{32, 8}));
}

TEST(Initialisation, RefusesANetworkThatNoCheckpointHasRoomFor) {
  attune::v1::TuningMethod method;
  *method.mutable_prompt_tuning() =
      Method(PromptTuning::INITIALISATION_SCALED_RANDOM, 4);
  method.mutable_prompt_tuning()->set_reparameterisation(
      PromptTuning::REPARAMETERISATION_MLP);
  method.mutable_prompt_tuning()->set_encoder_hidden_size(8'192);

  EXPECT_THAT(StartFront(method),
              ReasonIs(Reason::kInvalidField, HasSubstr("lower it")));
}

TEST(Initialisation, ReadsTheVersionItStartsFrom) {
  const ModelInfo& info = TinyModel()->info;
  const Artifact artifact = *EncodePrompt(RowsVersion(), info.config);

  const auto version = ReadInitVersion("prompts/x/versions/1", artifact, info);

  ASSERT_OK(version);
  EXPECT_TRUE(version->rows->rows().equal(TinyPrompt()));
}

TEST(Initialisation, RefusesAVersionThatIsDamagedOrOfAnotherModel) {
  const std::string name = "prompts/x/versions/1";
  Artifact artifact = *EncodePrompt(RowsVersion(), TinyModel()->info.config);

  EXPECT_THAT(ReadInitVersion(name, artifact, TinyModel("other")->info),
              ReasonIs(Reason::kModelMismatch, HasSubstr(name)));

  artifact.files.erase("adapter_config.json");

  EXPECT_THAT(ReadInitVersion(name, artifact, TinyModel()->info),
              ReasonIs(Reason::kIllegalState, HasSubstr(name)));
}

TEST(Initialisation, KnowsTheTablesRootMeanSquare) {
  const BaseModel& model = *Program().model().model;
  const at::Tensor table = model.Embed(at::arange(model.config().vocab_size));

  EXPECT_NEAR(EmbeddingRms(model),
              std::sqrt(table.square().mean().item<double>()), 1e-6);
}

// The tiny model has 2 layers, 2 key and value heads of 8.
attune::v1::TuningMethod LastLayerFrom(
    PromptTuning::Initialisation initialisation, int tokens) {
  attune::v1::TuningMethod method = PrefixFrom(initialisation, tokens);
  method.mutable_prefix_tuning()->set_first_layer(1);
  method.mutable_prefix_tuning()->set_num_layers(1);
  return method;
}

TEST(Initialisation, APrefixOfSomeLayersIsAPartOfThatOfAll) {
  const StoredPrompt version = PrefixVersion();
  for (const auto initialisation : {PromptTuning::INITIALISATION_CLASS_LABELS,
                                    PromptTuning::INITIALISATION_SCALED_RANDOM,
                                    PromptTuning::INITIALISATION_VERSION,
                                    PromptTuning::INITIALISATION_ZERO}) {
    const TensorMap all = *StartFront(PrefixFrom(initialisation, 4), &version);
    const TensorMap last =
        *StartFront(LastLayerFrom(initialisation, 4), &version);

    for (const char* name : {"prefix.keys", "prefix.values"}) {
      EXPECT_EQ(last.at(name).sizes(), (at::IntArrayRef{1, 2, 4, 8})) << name;
      EXPECT_TRUE(last.at(name).equal(all.at(name).narrow(0, 1, 1)))
          << name << " of "
          << PromptTuning::Initialisation_Name(initialisation);
    }
  }
}

TEST(Initialisation, APrefixNeedsItsLayersInTheVersion) {
  StoredPrompt version = PrefixVersion();
  version.prefix.keys = version.prefix.keys.narrow(0, 1, 1);
  version.prefix.values = version.prefix.values.narrow(0, 1, 1);
  version.prefix.first_layer = 1;

  EXPECT_OK(StartFront(LastLayerFrom(PromptTuning::INITIALISATION_VERSION, 4),
                       &version));
  EXPECT_THAT(
      StartFront(PrefixFrom(PromptTuning::INITIALISATION_VERSION, 4), &version),
      ReasonIs(Reason::kIllegalState,
               HasSubstr("spec.method.prefix_tuning.init_version")));
}

TEST(Initialisation, NoiseOfAPrefixIsAsLargeAsRealKeysAndValues) {
  const auto method =
      PrefixFrom(PromptTuning::INITIALISATION_SCALED_RANDOM, 100);
  const TensorMap real = *StartFront(
      PrefixFrom(PromptTuning::INITIALISATION_SAMPLED_VOCABULARY, 64));

  const TensorMap noise = *StartFront(method);

  const auto rms = [](const at::Tensor& numbers) {
    return std::sqrt(numbers.square().mean().item<double>());
  };
  for (const char* name : {"prefix.keys", "prefix.values"}) {
    for (int64_t layer = 0; layer < 2; ++layer) {
      // 1,600 numbers: known to about 2 %.
      EXPECT_NEAR(rms(noise.at(name)[layer]) / rms(real.at(name)[layer]), 1,
                  0.1)
          << name << " " << layer;
    }
  }
  EXPECT_TRUE(
      noise.at("prefix.keys").equal(StartFront(method)->at("prefix.keys")));
}

}  // namespace
}  // namespace attune::worker
