#include "worker/models/model_store.h"

#include <filesystem>
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

}  // namespace
}  // namespace attune::worker
