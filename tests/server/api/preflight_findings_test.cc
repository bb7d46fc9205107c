#include "server/api/preflight_findings.h"

#include <string>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using v1::PreflightFinding;
using v1::PreflightTuningJobResponse;

PreflightFinding* AddFinding(PreflightFinding::Severity severity,
                             const std::string& field,
                             const std::string& message,
                             PreflightTuningJobResponse& response) {
  PreflightFinding* finding = response.add_findings();
  finding->set_severity(severity);
  finding->set_field(field);
  finding->set_message(message);
  if (severity == PreflightFinding::SEVERITY_ERROR) {
    response.set_num_errors(response.num_errors() + 1);
  } else {
    response.set_num_warnings(response.num_warnings() + 1);
  }
  return finding;
}

TEST(PreflightFindings, EveryWrongFieldIsAnError) {
  v1::PreflightTuningJobRequest request;
  *request.mutable_spec() = SoundCreateRequest("j").tuning_job().spec();
  request.mutable_spec()->mutable_task()->clear_template_();
  request.mutable_spec()->mutable_training()->set_batch_size(-1);
  PreflightTuningJobResponse response;

  FindWrongFields(request, response);

  ASSERT_EQ(response.findings_size(), 2);
  EXPECT_EQ(response.num_errors(), 2);
  EXPECT_EQ(response.findings(0).field(), "spec.task.template");
  EXPECT_EQ(response.findings(0).reason(), "INVALID_FIELD");
  EXPECT_EQ(response.findings(0).severity(), PreflightFinding::SEVERITY_ERROR);
  EXPECT_EQ(response.findings(1).field(), "spec.training.batch_size");
}

TEST(PreflightFindings, ASoundSpecHasNone) {
  v1::PreflightTuningJobRequest request;
  *request.mutable_spec() = SoundCreateRequest("j").tuning_job().spec();
  PreflightTuningJobResponse response;

  FindWrongFields(request, response);

  EXPECT_EQ(response.findings_size(), 0) << response.DebugString();
}

TEST(PreflightFindings, AnErrorKeepsItsReasonAndTheFieldsItNames) {
  PreflightTuningJobResponse response;

  AddError(MakeError(Reason::kUnknownBaseModel, "nobody holds it"),
           "spec.base_model", response);
  AddError(InvalidField("tuning_job.spec.data.inline.rows[2]", "is wrong"),
           "spec.data", response);

  ASSERT_EQ(response.findings_size(), 2);
  EXPECT_EQ(response.findings(0).reason(), "UNKNOWN_BASE_MODEL");
  EXPECT_EQ(response.findings(0).field(), "spec.base_model");
  EXPECT_EQ(response.findings(1).field(), "spec.data.inline.rows[2]");
}

TEST(PreflightFindings, JoinedOnesAreThereOnceWithErrorsFirst) {
  PreflightTuningJobResponse ours;
  AddFinding(PreflightFinding::SEVERITY_ERROR, "spec.a", "wrong", ours);
  PreflightTuningJobResponse theirs;
  AddFinding(PreflightFinding::SEVERITY_WARNING, "spec.b", "odd", theirs);
  AddFinding(PreflightFinding::SEVERITY_ERROR, "spec.a", "in other words",
             theirs);
  AddFinding(PreflightFinding::SEVERITY_ERROR, "", "no label", theirs)
      ->set_row(1);
  AddFinding(PreflightFinding::SEVERITY_ERROR, "", "no label", theirs)
      ->set_row(2);
  theirs.set_num_errors(50);  // more than it has room for
  theirs.mutable_resolved_spec()->set_prompt("prompts/p");
  theirs.mutable_cost()->set_max_steps(1);
  theirs.add_samples();

  JoinFindings(theirs, ours);

  ASSERT_EQ(ours.findings_size(), 4);
  EXPECT_EQ(ours.findings(0).field(), "spec.a");
  EXPECT_EQ(ours.findings(0).message(), "wrong");
  EXPECT_EQ(ours.findings(1).row(), 1);
  EXPECT_EQ(ours.findings(2).row(), 2);
  EXPECT_EQ(ours.findings(3).severity(), PreflightFinding::SEVERITY_WARNING);
  EXPECT_EQ(ours.num_errors(), 50);
  EXPECT_EQ(ours.num_warnings(), 1);
  EXPECT_FALSE(ours.has_resolved_spec());
  EXPECT_FALSE(ours.has_cost());
  EXPECT_EQ(ours.samples_size(), 1);
}

TEST(PreflightFindings, ThereAreAtMostAThousand) {
  PreflightTuningJobResponse ours;
  PreflightTuningJobResponse theirs;
  for (int i = 0; i < 600; ++i) {
    AddFinding(PreflightFinding::SEVERITY_WARNING, std::to_string(i), "w",
               theirs);
    AddFinding(PreflightFinding::SEVERITY_ERROR, std::to_string(i), "e", ours);
  }

  JoinFindings(theirs, ours);

  EXPECT_EQ(ours.findings_size(), kMaxPreflightFindings);
  EXPECT_EQ(ours.num_errors(), 600);
  EXPECT_EQ(ours.num_warnings(), 600);
  EXPECT_EQ(ours.findings(599).severity(), PreflightFinding::SEVERITY_ERROR);
}

}  // namespace
}  // namespace attune::server
