#include "client/output/json_text.h"

#include "attune/v1/tuning_service.pb.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

v1::TuningJob Job() {
  v1::TuningJob job;
  job.set_name("tuningJobs/ä");
  job.mutable_spec()->set_base_model("models/m");
  job.set_state(v1::TuningJob::STATE_QUEUED);
  job.set_last_sequence(5);
  return job;
}

TEST(ToJson, IsProtoJsonOnManyLines) {
  EXPECT_EQ(ToJson(Job()),
            "{\n"
            "  \"name\": \"tuningJobs/ä\",\n"
            "  \"spec\": {\n"
            "    \"baseModel\": \"models/m\"\n"
            "  },\n"
            "  \"state\": \"STATE_QUEUED\",\n"
            "  \"lastSequence\": \"5\"\n"
            "}\n");
}

TEST(ToJsonLine, IsOneLine) {
  EXPECT_EQ(ToJsonLine(Job()),
            "{\"name\":\"tuningJobs/ä\",\"spec\":{\"baseModel\":\"models/m\"},"
            "\"state\":\"STATE_QUEUED\",\"lastSequence\":\"5\"}\n");
}

TEST(ToJsonArrayOf, IsAnArray) {
  v1::ListTuningJobsResponse response;
  EXPECT_EQ(ToJsonArrayOf(response.tuning_jobs()), "[]\n");

  response.add_tuning_jobs()->set_name("a");
  response.add_tuning_jobs()->set_name("b");
  EXPECT_EQ(ToJsonArrayOf(response.tuning_jobs()),
            "[\n"
            "  {\n"
            "    \"name\": \"a\"\n"
            "  },\n"
            "  {\n"
            "    \"name\": \"b\"\n"
            "  }\n"
            "]\n");
}

}  // namespace
}  // namespace attune::client
