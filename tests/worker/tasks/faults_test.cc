#include "worker/tasks/faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

TEST(Faults, WithoutAHandlerTheFirstFaultEndsTheWork) {
  EXPECT_OK(Meet(nullptr, absl::OkStatus()));
  EXPECT_THAT(Meet(nullptr, RowError(3, "bad")),
              ReasonIs(Reason::kInvalidData, "row 3: bad"));
}

TEST(Faults, AHandlerDecidesAndDoesNotHearOfWhatIsSound) {
  std::vector<std::string> heard;
  const FaultHandler lets_pass = [&](const absl::Status& fault) {
    heard.emplace_back(fault.message());
    return absl::OkStatus();
  };
  const FaultHandler ends = [](const absl::Status&) {
    return MakeError(Reason::kCancelled, "enough");
  };

  EXPECT_OK(Meet(lets_pass, absl::OkStatus()));
  EXPECT_OK(Meet(lets_pass, RowError(3, "bad")));
  EXPECT_THAT(Meet(ends, RowError(3, "bad")),
              ReasonIs(Reason::kCancelled, "enough"));
  EXPECT_EQ(heard, std::vector<std::string>{"row 3: bad"});
}

TEST(Faults, ARowsFaultKnowsRowFieldAndValue) {
  const std::vector<Fault> faults =
      FaultsIn(RowError(3, "'x' is unknown", "label", "x"));

  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].reason, Reason::kInvalidData);
  EXPECT_EQ(faults[0].row, 3);
  EXPECT_EQ(faults[0].row_field, "label");
  EXPECT_EQ(faults[0].value, "x");
  EXPECT_EQ(faults[0].what, "'x' is unknown");
  EXPECT_EQ(faults[0].spec_field, "");
}

TEST(Faults, InRowAddsTheRowAndKeepsAFieldThatIsNamed) {
  const absl::Status named =
      InRow(7, "text", FieldFault(Reason::kInputTooLong, "target", "too long"));
  const absl::Status plain =
      InRow(8, "text", MakeError(Reason::kInvalidTemplate, "no 'text'"));

  EXPECT_THAT(named, ReasonIs(Reason::kInputTooLong, "row 7: too long"));
  EXPECT_EQ(FaultsIn(named)[0].row_field, "target");
  EXPECT_EQ(FaultsIn(plain)[0].row, 8);
  EXPECT_EQ(FaultsIn(plain)[0].row_field, "text");
  EXPECT_EQ(FaultsIn(plain)[0].what, "no 'text'");
}

TEST(Faults, InRowKeepsTheCodeOfAnErrorThatWasMadeElsewhere) {
  EXPECT_THAT(InRow(2, "", absl::DataLossError("torn")),
              StatusIs(absl::StatusCode::kDataLoss, "row 2: torn"));
}

TEST(Faults, EachWrongFieldIsAFaultInTheSpec) {
  FieldViolations violations;
  violations.Add("task.template", "is required");
  violations.Add("spec.training.max_steps", "must be positive");

  const std::vector<Fault> faults = FaultsIn(violations.ToStatus());

  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].spec_field, "spec.task.template");
  EXPECT_EQ(faults[0].what, "is required");
  EXPECT_EQ(faults[0].row, 0);
  EXPECT_EQ(faults[1].spec_field, "spec.training.max_steps");
}

TEST(Faults, APathMayStandInTheMessageOrFollowFromTheReason) {
  EXPECT_EQ(FaultsIn(MakeError(Reason::kIllegalState,
                               "task.use_chat_template: there is none"))[0]
                .spec_field,
            "spec.task.use_chat_template");
  EXPECT_EQ(
      FaultsIn(MakeError(Reason::kInvalidTemplate, "line 1"))[0].spec_field,
      "spec.task.template");
  EXPECT_EQ(FaultsIn(MakeError(Reason::kInvalidData, "no rows"))[0].spec_field,
            "");
  EXPECT_TRUE(FaultsIn(absl::OkStatus()).empty());
}

}  // namespace
}  // namespace attune::worker
