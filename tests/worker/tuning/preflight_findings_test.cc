#include "worker/tuning/preflight_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

using ::attune::v1::PreflightFinding;
using ::attune::v1::PreflightTuningJobResponse;

PreflightTuningJobResponse Taken(PreflightFindings& findings) {
  PreflightTuningJobResponse response;
  findings.MoveTo(response);
  return response;
}

PreflightFinding Warning(const std::string& message, int64_t row) {
  PreflightFinding finding;
  finding.set_message(message);
  finding.set_row(row);
  return finding;
}

TEST(PreflightFindings, RowsOfOneFaultAreJoinedAtTheFirst) {
  PreflightFindings findings;
  findings.AddFaults(RowError(9, "has 12 tokens of 'b'", "text"));
  findings.AddFaults(RowError(4, "has 300 tokens of 'a'", "text"));
  findings.AddFaults(RowError(12, "has 1 tokens of 'c'", "text"));

  const PreflightTuningJobResponse response = Taken(findings);

  ASSERT_EQ(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).row(), 4);
  EXPECT_EQ(response.findings(0).num_rows(), 3);
  EXPECT_EQ(response.findings(0).message(), "has 300 tokens of 'a'");
  EXPECT_EQ(response.findings(0).reason(), "INVALID_DATA");
  EXPECT_EQ(response.num_errors(), 1);
}

TEST(PreflightFindings, FieldsValuesAndWordsTellFaultsApart) {
  PreflightFindings findings;
  findings.AddFaults(RowError(1, "'a' is unknown", "label", "a"));
  findings.AddFaults(RowError(2, "'b' is unknown", "label", "b"));
  findings.AddFaults(RowError(3, "'b' is unknown", "title", "b"));
  findings.AddFaults(RowError(4, "'b' is empty", "label", "b"));

  EXPECT_EQ(Taken(findings).num_errors(), 4);
}

TEST(PreflightFindings, ASpecsFaultCountsOnceHoweverOftenItIsFound) {
  PreflightFindings findings;
  for (int i = 0; i < 2; ++i) {
    findings.AddFaults(InvalidField("task.template", "has 3 errors"));
  }
  findings.AddFaults(InvalidField("task.template", "has 4 errors"));

  const PreflightTuningJobResponse response = Taken(findings);

  EXPECT_EQ(response.num_errors(), 2);
  EXPECT_EQ(response.findings(0).num_rows(), 0);
  EXPECT_EQ(response.findings(0).field(), "spec.task.template");
}

TEST(PreflightFindings, ErrorsComeFirstThenTheOrderOfSpecAndRows) {
  PreflightFindings findings;
  findings.AddWarning(Warning("w7", 7));
  findings.AddFaults(RowError(5, "row"));
  findings.AddWarning(Warning("w0", 0));
  findings.AddFaults(RowError(2, "other"));
  EXPECT_TRUE(findings.has_errors());
  findings.AddFaults(InvalidField("spec.base_model", "is required"));

  const PreflightTuningJobResponse response = Taken(findings);

  std::string order;
  for (const PreflightFinding& finding : response.findings()) {
    order += finding.message() + " ";
  }
  EXPECT_EQ(order, "is required other row w0 w7 ");
  EXPECT_EQ(response.num_errors(), 3);
  EXPECT_EQ(response.num_warnings(), 2);
}

TEST(PreflightFindings, AreAtMostAThousandButAllAreCounted) {
  PreflightFindings findings;
  findings.AddWarning(Warning("w", 0));
  for (int i = 0; i < 1500; ++i) {
    findings.AddFaults(RowError(i + 1, "unknown", "label", std::to_string(i)));
  }

  const PreflightTuningJobResponse response = Taken(findings);

  EXPECT_EQ(response.findings_size(), 1000);
  EXPECT_EQ(response.num_errors(), 1500);
  EXPECT_EQ(response.num_warnings(), 1);
  EXPECT_EQ(response.findings(999).row(), 1000);
}

TEST(PreflightFindings, LongMessagesLoseTheirMiddle) {
  PreflightFindings findings;
  findings.AddFaults(RowError(1, std::string(5000, 'x')));

  EXPECT_LE(Taken(findings).findings(0).message().size(), 500u);
}

}  // namespace
}  // namespace attune::worker
