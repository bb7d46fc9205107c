#include "proto/cc/task_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

v1::TaskSpec TaskOf(v1::TaskType type, bool multi_label = false) {
  v1::TaskSpec task;
  task.set_type(type);
  task.set_multi_label(multi_label);
  return task;
}

TEST(TaskMetrics, BeginWithTheDefault) {
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_TEXT_CLASSIFICATION))[0],
            "accuracy");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_TEXT_CLASSIFICATION, true))[0],
            "micro_f1");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_TOKEN_CLASSIFICATION))[0],
            "micro_f1");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_EXTRACTIVE_QA))[0], "f1");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_MULTIPLE_CHOICE))[0], "accuracy");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_REGRESSION))[0], "loss");
  EXPECT_EQ(TaskMetrics(TaskOf(v1::TASK_TYPE_TEXT_GENERATION))[0], "loss");
}

TEST(TaskMetrics, HaveTheLossForEveryTypeThatIsKnown) {
  for (int type = v1::TaskType_MIN + 1; type <= v1::TaskType_MAX; ++type) {
    EXPECT_THAT(TaskMetrics(TaskOf(static_cast<v1::TaskType>(type))),
                Contains("loss"))
        << type;
  }
  EXPECT_THAT(TaskMetrics(TaskOf(v1::TASK_TYPE_UNSPECIFIED)), IsEmpty());
}

TEST(LowerIsBetter, OfErrorsOnly) {
  for (const char* error : {"loss", "perplexity", "mse", "mae", "ece"}) {
    EXPECT_TRUE(LowerIsBetter(error)) << error;
  }
  for (const char* merit : {"accuracy", "macro_f1", "bleu", "pearson", ""}) {
    EXPECT_FALSE(LowerIsBetter(merit)) << merit;
  }
}

}  // namespace
}  // namespace attune
