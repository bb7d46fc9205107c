#include "worker/tuning/initialisation.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
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

TEST(Initialisation, ClassLabelsFollowEachOther) {
  std::vector<int64_t> ids = Encode(" 12");
  for (int64_t id : Encode(" 34")) ids.push_back(id);
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

TEST(Initialisation, KnowsTheTablesRootMeanSquare) {
  const BaseModel& model = *Program().model().model;
  const at::Tensor table = model.Embed(at::arange(model.config().vocab_size));

  EXPECT_NEAR(EmbeddingRms(model),
              std::sqrt(table.square().mean().item<double>()), 1e-6);
}

}  // namespace
}  // namespace attune::worker
