#include "worker/models/model_store.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
