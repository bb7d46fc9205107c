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
  model.set_num_parameters(134515008);
  model.set_context_length(8192);
  model.set_num_layers(30);
  model.set_has_chat_template(true);
  v1::ModelHolder& holder = *model.add_holders();
  holder.set_worker("w-1");
  holder.set_device("cpu");
  holder.set_dtype("fp32");
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
            "NAME                   FAMILY  WEIGHTS  CONTEXT  WORKERS\n"
            "smollm2-135m-instruct  llama      135M    8,192  "
            "w-1 (cpu, fp32, loaded)\n");
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
            "weights:       134,515,008\n"
            "layers:        30\n"
            "embedding:     0\n"
            "vocabulary:    0\n"
            "context:       8,192 tokens\n"
            "chat template: yes\n"
            "worker:        w-1 (cpu, fp32, loaded)\n");
}

}  // namespace
}  // namespace attune::client
