#include "client/commands/inference_options.h"

#include <sstream>

#include "CLI/CLI.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

class InferenceOptionsTest : public testing::Test {
 protected:
  std::ostringstream out_;
  Console console_{{&out_}, {&out_}};
  std::istringstream in_{"answer_field: intent\n"};
  FakeClock clock_;
  Interrupt interrupt_;
  Session session_{console_, in_, clock_, interrupt_};
};

TEST_F(InferenceOptionsTest, NamesAPrompt) {
  InferenceOptions options;
  options.prompt = "p";

  const auto target = TargetOf(session_, options);

  ASSERT_OK(target);
  EXPECT_EQ(target->prompt(), "prompts/p");
}

TEST_F(InferenceOptionsTest, NamesABaseModelWithATask) {
  InferenceOptions options;
  options.base_model = "models/m";
  options.task_file = "-";

  const auto target = TargetOf(session_, options);

  ASSERT_OK(target);
  EXPECT_EQ(target->base().model(), "models/m");
  EXPECT_EQ(target->base().task().answer_field(), "intent");
}

TEST_F(InferenceOptionsTest, RefusesBothAndNeither) {
  InferenceOptions options;
  EXPECT_THAT(TargetOf(session_, options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("either a prompt or")));

  options.prompt = "p";
  options.base_model = "m";
  EXPECT_THAT(TargetOf(session_, options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("either a prompt or")));
}

TEST_F(InferenceOptionsTest, ABaseModelNeedsATask) {
  InferenceOptions options;
  options.base_model = "m";

  EXPECT_THAT(TargetOf(session_, options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--base needs --task FILE: the task to answer"));
}

TEST_F(InferenceOptionsTest, UnsetDecodingIsEmpty) {
  EXPECT_EQ(DecodingOf(InferenceOptions()).ByteSizeLong(), 0u);
}

TEST_F(InferenceOptionsTest, ATemperatureOfZeroIsSaid) {
  CLI::App app;
  InferenceOptions options;
  AddDecodingOptions(app, options);

  app.parse("--temperature 0");

  EXPECT_TRUE(DecodingOf(options).has_temperature());
  EXPECT_FALSE(DecodingOf(options).has_top_k());
}

TEST_F(InferenceOptionsTest, ReadsFlags) {
  CLI::App app;
  InferenceOptions options;
  AddTargetOptions(app, options);
  AddDecodingOptions(app, options);

  app.parse("--seed 7 --top-k 5 p --stop a --stop b");

  EXPECT_EQ(options.prompt, "p");
  const v1::Decoding decoding = DecodingOf(options);
  EXPECT_EQ(decoding.seed(), 7u);
  EXPECT_EQ(decoding.top_k(), 5);
  EXPECT_EQ(decoding.stop_size(), 2);
  EXPECT_FALSE(decoding.has_top_p());
}

}  // namespace
}  // namespace attune::client
