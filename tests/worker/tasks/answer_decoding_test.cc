#include "worker/tasks/answer_decoding.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST(FindStopText, IsWhereTheFirstOneBegins) {
  EXPECT_EQ(FindStopText("one two three", {"three", "two"}), 4u);
  EXPECT_EQ(FindStopText("one\n\ntwo", {"\n\n", "\n"}), 3u);
  EXPECT_EQ(FindStopText("one", {"two"}), std::string::npos);
  EXPECT_EQ(FindStopText("one", {}), std::string::npos);
}

TEST(EndTokens, AreTheModelsAndTheTasks) {
  const std::shared_ptr<const LoadedModel> model = TinyModel();
  ASSERT_THAT(model->stop_token_ids, SizeIs(1));
  const int64_t own = model->stop_token_ids[0];

  EXPECT_THAT(EndTokens(*model, own), ElementsAre(own));
  EXPECT_THAT(EndTokens(*model, -1), ElementsAre(own));
  EXPECT_THAT(EndTokens(*model, own + 1), UnorderedElementsAre(own, own + 1));
}

TEST(ReadInputs, GivesWhatTheEncoderMakesOfEachInput) {
  const at::NoGradGuard no_grad;
  const auto program = CompileTask(TextTask(4), 0, "t5");
  const TaskInput one = *program->PrepareInput(R"({"text": "one"})", 1);
  const TaskInput two = *program->PrepareInput(R"({"text": "one two"})", 1);

  const auto read = ReadInputs(*program, nullptr, {&one, &two});

  ASSERT_OK(read);
  ASSERT_THAT(*read, SizeIs(2));
  for (size_t i = 0; i < 2; ++i) {
    const TaskInput& input = i == 0 ? one : two;
    const auto alone = EncodeMemories(AsEncoderDecoder(*program->model().model),
                                      {{.text = input.ids}});
    ASSERT_OK(alone);
    EXPECT_TRUE((*read)[i]->keys(0).allclose(alone->front()->keys(0),
                                             /*rtol=*/1e-5, /*atol=*/1e-5));
  }
}

}  // namespace
}  // namespace attune::worker
