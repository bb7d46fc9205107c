#include "worker/models/model_store.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/models/torch_file_builder.h"
#include "worker/models/packed_rows.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Replaces the weights of a model in F32 by the same ones as torch.save writes
// them.
void SaveAgainAsTorchFile(const std::string& directory) {
  std::vector<std::pair<std::string, std::string>> items, storages;
  const auto weights = Safetensors::Open(directory + "/model.safetensors");
  ASSERT_OK(weights);
  for (const auto& [name, entry] : weights->entries()) {
    const at::Tensor tensor = *weights->Get(name);
    ASSERT_EQ(tensor.scalar_type(), at::kFloat);
    const std::string key = std::to_string(storages.size());
    items.push_back(
        {name,
         Pickle::Tensor(Pickle::Storage("FloatStorage", key, tensor.numel()), 0,
                        tensor.sizes().vec(), tensor.strides().vec())});
    storages.push_back(
        {key, std::string(static_cast<const char*>(tensor.const_data_ptr()),
                          tensor.nbytes())});
  }
  WriteBytes(directory + "/pytorch_model.bin",
             TorchFileBytes(Pickle::Program(Pickle::Dict(items)), storages));
  std::filesystem::remove(directory + "/model.safetensors");
}

class ModelStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyLlama(directory_ / "one"));
    TinyLlamaOptions options;
    options.seed = 2;
    ASSERT_OK(WriteTinyLlama(directory_ / "two", options));
  }

  std::vector<std::string> ListedIds() {
    std::vector<std::string> ids;
    const auto infos = store_.List();
    for (const ModelInfo& info : *infos) ids.push_back(info.id);
    return ids;
  }

  TempDirectory directory_;
  ModelStore store_{{.directory = directory_.path()}};
};

TEST_F(ModelStoreTest, ListsModelsWithoutLoadingThem) {
  const auto infos = store_.List();

  ASSERT_OK(infos);
  ASSERT_EQ(infos->size(), 2u);
  const ModelInfo& one = (*infos)[0];
  EXPECT_EQ(one.id, "one");
  EXPECT_EQ(one.config.family, "llama");
  EXPECT_EQ(one.num_parameters, 300 * 32 + 2 * 9280 + 32);
  EXPECT_GT(one.weight_bytes, 4 * one.num_parameters);
  EXPECT_EQ(one.fingerprint.size(), 64u);
  EXPECT_NE(one.fingerprint, (*infos)[1].fingerprint);
  EXPECT_THAT(store_.LoadedIds(), ElementsAre());
}

TEST_F(ModelStoreTest, LeavesOutWhatIsNoModel) {
  std::filesystem::create_directory(directory_ / "empty");
  std::filesystem::create_directory(directory_ / "bert");
  WriteBytes(directory_ / "bert/config.json", "{\"model_type\": \"bert\"}");
  WriteBytes(directory_ / "file", "");

  EXPECT_THAT(ListedIds(), ElementsAre("one", "two"));
}

TEST_F(ModelStoreTest, LeavesOutAModelWhoseWeightsAreCutOff) {
  const auto weights = directory_ / "one/model.safetensors";
  std::filesystem::resize_file(weights, 1000);

  EXPECT_THAT(ListedIds(), ElementsAre("two"));
}

TEST_F(ModelStoreTest, SaysOnceForEachReasonWhyAModelIsLeftOut) {
  std::ostringstream log;
  const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  const auto lines = [&] {
    const std::string text = log.str();
    return std::count(text.begin(), text.end(), '\n');
  };

  WriteBytes(directory_ / "one/config.json", "{}");
  EXPECT_OK(store_.List());
  EXPECT_OK(store_.List());
  EXPECT_THAT(log.str(), HasSubstr("model one is left out: "));
  EXPECT_EQ(lines(), 1);

  WriteBytes(directory_ / "one/config.json", "no JSON");
  EXPECT_OK(store_.List());
  EXPECT_OK(store_.List());
  EXPECT_EQ(lines(), 2);
  spdlog::set_default_logger(before);
}

TEST_F(ModelStoreTest, LoadsWeightsThatTorchSaved) {
  const std::string fingerprint = store_.Info("one")->fingerprint;
  SaveAgainAsTorchFile(directory_ / "one");

  const auto model = store_.Load("one");

  ASSERT_OK(model);
  EXPECT_EQ((*model)->info.weight_bytes,
            static_cast<int64_t>(std::filesystem::file_size(
                directory_ / "one/pytorch_model.bin")));
  EXPECT_NE((*model)->info.fingerprint, fingerprint);
}

TEST_F(ModelStoreTest, TheFingerprintCoversWeightsThatTorchSaved) {
  SaveAgainAsTorchFile(directory_ / "one");
  const std::string fingerprint = store_.Info("one")->fingerprint;
  std::string bytes = ReadBytes(directory_ / "one/pytorch_model.bin");
  bytes[bytes.size() / 2] ^= 1;  // one of the weights
  WriteBytes(directory_ / "one/pytorch_model.bin", bytes);

  EXPECT_NE(store_.Info("one")->fingerprint, fingerprint);
}

TEST_F(ModelStoreTest, LoadsAModelOnce) {
  const auto first = store_.Load("one");
  const auto second = store_.Load("one");

  ASSERT_OK(first);
  EXPECT_EQ(first->get(), second->get());
  EXPECT_EQ((*first)->info.id, "one");
  EXPECT_EQ((*first)->model->config().dim, 32);
  EXPECT_THAT(store_.LoadedIds(), ElementsAre("one"));
}

TEST_F(ModelStoreTest, ThreadsWaitForOneLoad) {
  std::vector<const LoadedModel*> loaded(4, nullptr);
  std::vector<std::thread> threads;

  for (const LoadedModel*& model : loaded) {
    threads.emplace_back([&] { model = store_.Load("two")->get(); });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(loaded, testing::Each(store_.Load("two")->get()));
}

TEST_F(ModelStoreTest, AnUnknownModelIsToldWhatThereIs) {
  EXPECT_THAT(store_.Load("three"),
              ReasonIs(Reason::kUnknownBaseModel,
                       AllOf(HasSubstr("'three'"), HasSubstr("one, two"))));
  for (const char* id : {"", ".", "..", "../one", "one/", ".fingerprints"}) {
    EXPECT_THAT(store_.Info(id),
                ReasonIs(Reason::kUnknownBaseModel, HasSubstr("one, two")))
        << id;
  }
}

TEST_F(ModelStoreTest, AMissingDirectoryIsNamed) {
  ModelStore store({.directory = directory_ / "nowhere"});

  EXPECT_THAT(store.List(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
}

TEST_F(ModelStoreTest, CorruptWeightsAreNamed) {
  const std::string path = directory_ / "one/model.safetensors";
  const std::string bytes = ReadBytes(path);
  WriteBytes(path, std::string_view(bytes).substr(0, bytes.size() - 1));

  EXPECT_THAT(store_.Load("one"),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("one/model.safetensors: tensors end at")));
}

TEST_F(ModelStoreTest, AFailureIsNotRemembered) {
  const std::string path = directory_ / "one/model.safetensors";
  const std::string bytes = ReadBytes(path);
  WriteBytes(path, "short");
  EXPECT_THAT(store_.Load("one"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("8 bytes")));

  WriteBytes(path, bytes);

  EXPECT_OK(store_.Load("one"));
}

TEST_F(ModelStoreTest, ATokenizerLargerThanTheModelIsRefused) {
  std::string config = ReadBytes(directory_ / "one/config.json");
  const std::string size = "\"vocab_size\": 300";
  config.replace(config.find(size), size.size(), "\"vocab_size\": 299");
  WriteBytes(directory_ / "one/config.json", config);

  EXPECT_THAT(store_.Load("one"),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("has 300 tokens, config.json says 299")));
}

TEST_F(ModelStoreTest, LoadsInTheDtypeItIsTold) {
  ModelStore store(
      {.directory = directory_.path(), .dtype = c10::ScalarType::BFloat16});

  EXPECT_EQ((*store.Load("one"))->model->dtype(), at::kBFloat16);
}

// Each model here takes this much in fp32.
constexpr int64_t kModelBytes = int64_t{4} * (300 * 32 + 2 * 9280 + 32);

// Three models and room for two.
class ModelBudgetTest : public ModelStoreTest {
 protected:
  void SetUp() override {
    ModelStoreTest::SetUp();
    TinyLlamaOptions options;
    options.seed = 3;
    ASSERT_OK(WriteTinyLlama(directory_ / "three", options));
  }

  // A share in the model, which must load.
  std::shared_ptr<const LoadedModel> Use(std::string_view id) {
    const auto model = budgeted_.Load(id);
    EXPECT_OK(model);
    return model.ok() ? *model : nullptr;
  }

  ModelStore budgeted_{
      {.directory = directory_.path(), .max_loaded_bytes = 2 * kModelBytes}};
};

TEST_F(ModelBudgetTest, TheModelThatWasNotAskedForTheLongestMakesRoom) {
  Use("one");
  Use("two");
  Use("one");

  Use("three");

  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("one", "three"));
  EXPECT_EQ(budgeted_.memory().num_bytes, 2 * kModelBytes);
  EXPECT_EQ(budgeted_.memory().max_bytes, 2 * kModelBytes);
  EXPECT_EQ(budgeted_.memory().num_evictions, 1);
}

TEST_F(ModelBudgetTest, AModelInUseStays) {
  const auto one = Use("one");
  Use("two");

  Use("three");

  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("one", "three"));
  EXPECT_EQ(Use("one"), one);
}

TEST_F(ModelBudgetTest, WithoutRoomBesideModelsInUseTheyAreNamed) {
  auto one = Use("one");
  const auto two = Use("two");

  EXPECT_THAT(budgeted_.Load("three"),
              ReasonIs(Reason::kModelMemoryFull,
                       AllOf(HasSubstr("'three' takes 112768 bytes"),
                             HasSubstr("225536"), HasSubstr("one, two;"),
                             HasSubstr("--model-memory"))));
  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("one", "two"));

  one.reset();
  EXPECT_NE(Use("three"), nullptr);
  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("three", "two"));
}

TEST_F(ModelBudgetTest, NothingGoesForAModelThatWillNotFit) {
  TinyLlamaOptions options;
  options.num_layers = 4;
  ASSERT_OK(WriteTinyLlama(directory_ / "large", options));
  const auto one = Use("one");
  Use("two");

  EXPECT_THAT(budgeted_.Load("large"),
              ReasonIs(Reason::kModelMemoryFull, HasSubstr("in use: one;")));

  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("one", "two"));
  EXPECT_EQ(budgeted_.memory().num_evictions, 0);
}

TEST_F(ModelBudgetTest, AModelBeyondTheBudgetIsRefusedWithItsSize) {
  ModelStore store(
      {.directory = directory_.path(), .max_loaded_bytes = kModelBytes - 1});

  EXPECT_THAT(
      store.Load("one"),
      ReasonIs(Reason::kLimitExceeded,
               AllOf(HasSubstr("'one' takes 112768 bytes of memory in fp32"),
                     HasSubstr("112767"), HasSubstr("--model-memory"),
                     HasSubstr("--dtype bf16"))));
  EXPECT_EQ(store.memory().num_bytes, 0);
}

TEST_F(ModelBudgetTest, AModelTakesHalfInBfloat16) {
  ModelStore store({.directory = directory_.path(),
                    .dtype = c10::kBFloat16,
                    .max_loaded_bytes = kModelBytes - 1});

  EXPECT_OK(store.Load("one"));

  EXPECT_EQ(store.memory().num_bytes, kModelBytes / 2);
}

TEST_F(ModelBudgetTest, AModelThatDoesNotLoadGivesItsPlaceBack) {
  std::string config = ReadBytes(directory_ / "one/config.json");
  const std::string layers = "\"num_hidden_layers\": 2";
  ASSERT_NE(config.find(layers), config.npos);
  config.replace(config.find(layers), layers.size(),
                 "\"num_hidden_layers\": 3");
  WriteBytes(directory_ / "one/config.json", config);

  EXPECT_THAT(budgeted_.Load("one"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("model.layers.2.")));

  EXPECT_EQ(budgeted_.memory().num_bytes, 0);
}

// logits: [17, vocab]
at::Tensor LogitsOf(const LoadedModel& model) {
  const PackedRows rows = {.embeddings = model.model->Embed(at::arange(3, 20)),
                           .segments = {{.begin = 0, .length = 17}}};
  return model.causal().Logits(*model.causal().Forward(rows));
}

TEST_F(ModelBudgetTest, AModelThatComesBackComputesTheSame) {
  const at::Tensor before = LogitsOf(*Use("one"));
  Use("two");
  Use("three");
  ASSERT_THAT(budgeted_.LoadedIds(), ElementsAre("three", "two"));

  const at::Tensor after = LogitsOf(*Use("one"));

  // The same arithmetic; sums may only depend on how memory is aligned.
  EXPECT_TRUE(at::allclose(before, after, /*rtol=*/1e-5, /*atol=*/1e-6));
}

TEST_F(ModelBudgetTest, RacingLoadsStayWithinTheBudget) {
  ModelStore store(
      {.directory = directory_.path(), .max_loaded_bytes = kModelBytes});
  std::atomic<int> loads = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string id = (t + i) % 2 == 0 ? "one" : "two";
        const auto model = store.Load(id);
        if (model.ok()) {
          ++loads;
          EXPECT_EQ((*model)->info.id, id);
          EXPECT_THAT(store.LoadedIds(), ElementsAre(id));
        } else {
          EXPECT_EQ(ReasonOf(model.status()), Reason::kModelMemoryFull);
        }
        EXPECT_LE(store.memory().num_bytes, kModelBytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_GT(loads, 0);
  EXPECT_OK(store.Load("one"));
  EXPECT_OK(store.Load("two"));
  EXPECT_THAT(store.LoadedIds(), ElementsAre("two"));
}

}  // namespace
}  // namespace attune::worker
