#include "client/commands/models.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_attune.h"

namespace attune::client {
namespace {

v1::Model SmolLm() {
  v1::Model model;
  model.set_name("models/smollm2-135m-instruct");
  model.set_family("llama");
  model.set_kind(v1::MODEL_KIND_CAUSAL);
  model.set_num_parameters(134515008);
  model.set_context_length(8192);
  model.set_num_layers(30);
  model.set_has_chat_template(true);
  v1::ModelHolder& holder = *model.add_holders();
  holder.set_worker("w-1");
  holder.set_device("cpu");
  holder.set_dtype("fp32");
  holder.set_memory_bytes(538060032);
  holder.set_loaded(true);
  return model;
}

class ModelsTest : public testing::Test {
 protected:
  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "models");
    return RunClient(fake_.address(), std::move(arguments));
  }

  FakeAttune fake_;
};

TEST_F(ModelsTest, ListIsATable) {
  fake_.scripts.list_models = [](const auto&, auto& response) {
    *response.add_models() = SmolLm();
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"list"}).out,
            "NAME                   FAMILY  KIND    WEIGHTS  CONTEXT  WORKERS\n"
            "smollm2-135m-instruct  llama   causal     135M    8,192  "
            "w-1 (cpu, fp32, 513 MiB, loaded)\n");
}

TEST_F(ModelsTest, ListShowsEveryKindAndWhereItIsLoaded) {
  fake_.scripts.list_models = [](const auto&, auto& response) {
    for (const auto& [name, kind] :
         {std::pair("models/minilm", v1::MODEL_KIND_ENCODER),
          std::pair("models/t5", v1::MODEL_KIND_ENCODER_DECODER)}) {
      v1::Model& model = *response.add_models();
      model = SmolLm();
      model.set_name(name);
      model.set_kind(kind);
      model.mutable_holders(0)->set_loaded(false);
    }
    return absl::OkStatus();
  };

  EXPECT_THAT(Run({"list"}).out,
              testing::AllOf(testing::ContainsRegex("minilm .* encoder  "),
                             testing::ContainsRegex("t5 .* encoder-decoder "),
                             testing::HasSubstr("513 MiB, not loaded)")));
}

TEST_F(ModelsTest, ListIsAnArrayInJson) {
  fake_.scripts.list_models = [](const auto&, auto&) {
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"list", "-o", "json"}).out, "[]\n");
}

TEST_F(ModelsTest, GetShowsDetails) {
  fake_.scripts.get_model = [](const auto& request, v1::Model& model) {
    EXPECT_EQ(request.name(), "models/smollm2-135m-instruct");
    model = SmolLm();
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"get", "smollm2-135m-instruct"}).out,
            "name:          models/smollm2-135m-instruct\n"
            "family:        llama\n"
            "kind:          causal\n"
            "weights:       134,515,008\n"
            "layers:        30\n"
            "embedding:     0\n"
            "vocabulary:    0\n"
            "context:       8,192 tokens\n"
            "chat template: yes\n"
            "worker:        w-1 (cpu, fp32, 513 MiB, loaded)\n");
}

}  // namespace
}  // namespace attune::client
