#include "worker/tasks/shown_example.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

TEST(ComposeText, ExamplesEndInAnEmptyLineBeforeTheQuestion) {
  const std::vector<ShownExample> shown = {{"a:", "yes"}, {"b: ", "no"}};

  EXPECT_EQ(*ComposeText(LabelTask({"yes", "no"}), *TinyModel(), "c:", shown),
            "a: yes\n\nb: no\n\nc:");
  EXPECT_EQ(*ComposeText(LabelTask({"yes", "no"}), *TinyModel(), "c:", {}),
            "c:");
}

TEST(ComposeText, ExamplesAreTurnsOfAChatBehindTheSystemMessage) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_use_chat_template(true);
  task.set_system_message("Be brief.");
  const std::vector<ShownExample> shown = {{"a", "yes"}};

  EXPECT_EQ(*ComposeText(task, *TinyModel(), "b", shown),
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\na<|im_end|>\n"
            "<|im_start|>assistant\nyes<|im_end|>\n"
            "<|im_start|>user\nb<|im_end|>\n"
            "<|im_start|>assistant\n");
}

}  // namespace
}  // namespace attune::worker
