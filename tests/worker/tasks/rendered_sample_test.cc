#include "worker/tasks/rendered_sample.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::attune::v1::RenderedSample;

std::vector<PreparedExample> SampleRows(const TaskProgram& program, int count) {
  std::vector<Example> rows;
  for (int i = 0; i < count; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": "it )", i, "\"}"),
                    .answer = i % 2 == 0 ? "yes" : "no"});
  }
  return *PrepareExamples(program, rows);
}

TEST(RenderedSample, ShowsWhatTheModelSees) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const std::vector<RenderedSample> samples =
      RenderSamples(*program, "test", SampleRows(*program, 1), 3);

  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].split(), "test");
  EXPECT_EQ(samples[0].row(), 1);
  EXPECT_EQ(samples[0].input(), "Text: it 0\nLabel:");
  EXPECT_EQ(samples[0].answer(), "yes");
  EXPECT_GT(samples[0].num_tokens(), 3);
  EXPECT_FALSE(samples[0].truncated());
}

TEST(RenderedSample, AreSpreadEvenly) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const std::vector<RenderedSample> samples =
      RenderSamples(*program, "test", SampleRows(*program, 10), 3);

  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0].row(), 1);
  EXPECT_EQ(samples[1].row(), 4);
  EXPECT_EQ(samples[2].row(), 7);
  EXPECT_TRUE(RenderSamples(*program, "test", {}, 3).empty());
}

TEST(RenderedSample, SayThatAnInputWasCut) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_truncation()->set_max_input_tokens(20);
  const auto program = CompileTask(task);
  const std::vector<PreparedExample> rows = *PrepareExamples(
      *program,
      {{.row = 1,
        .fields = absl::StrCat(R"({"text": ")", std::string(60, '7'), "\"}"),
        .answer = "no"}});

  const RenderedSample sample = RenderSamples(*program, "test", rows, 1)[0];

  EXPECT_TRUE(sample.truncated());
  EXPECT_LE(sample.num_tokens(), 20);
}

}  // namespace
}  // namespace attune::worker
