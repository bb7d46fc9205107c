#include "client/output/error_text.h"

#include <sstream>

#include "gtest/gtest.h"
#include "proto/cc/status.h"

namespace attune::client {
namespace {

std::string Printed(const absl::Status& status) {
  std::ostringstream stream;
  Stream err{&stream};
  PrintError(status, err);
  return stream.str();
}

TEST(PrintError, ShowsMessageAndRemedy) {
  EXPECT_EQ(
      Printed(MakeError(Reason::kUnknownBaseModel, "no worker has 'models/x'")),
      "error: no worker has 'models/x'\n"
      "hint: see what the workers have: attune models list\n");
}

TEST(PrintError, NamesEveryWrongField) {
  FieldViolations violations;
  violations.Add("tuning_job.spec.prompt", "is required");
  violations.Add("tuning_job.spec.training.learning_rate", "must be finite");

  EXPECT_EQ(Printed(violations.ToStatus()),
            "error: tuning_job.spec.prompt: is required (and 1 more)\n"
            "  tuning_job.spec.prompt: is required\n"
            "  tuning_job.spec.training.learning_rate: must be finite\n");
}

TEST(PrintError, DoesNotRepeatASingleField) {
  EXPECT_EQ(Printed(InvalidField("page_size", "must not be negative")),
            "error: page_size: must not be negative\n");
}

TEST(PrintError, KnowsWhatToDoWhenNobodyAnswers) {
  const std::string text = Printed(absl::UnavailableError("no answer"));

  EXPECT_EQ(text,
            "error: no answer\n"
            "hint: is the server running? Start it (deploy/local.sh start), or "
            "name another with --server or ATTUNE_SERVER\n");
}

TEST(PrintError, LetsNoMessageSteerTheTerminal) {
  EXPECT_EQ(Printed(absl::InternalError("a\x1b[2J")), "error: a�[2J\n");
}

TEST(RemedyFor, EveryRetryableReasonHasOne) {
  for (const ReasonRow& row : AllReasons()) {
    if (row.retryable) {
      EXPECT_NE(RemedyFor(row.reason), "") << row.name;
    }
  }
}

TEST(ExitCodeOf, GroupsByWhatThePersonDoes) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kCorruptArtifact, "x")), 1);
  EXPECT_EQ(ExitCodeOf(InvalidField("a", "b")), 2);
  EXPECT_EQ(ExitCodeOf(UnsupportedField("a", "b")), 2);
  EXPECT_EQ(ExitCodeOf(NotFound("prompt", "x")), 3);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kResourceExists, "x")), 3);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kIllegalState, "x")), 3);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kNoWorker, "x")), 4);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kQueueFull, "x")), 4);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kDeadlineExceeded, "x")), 4);
  EXPECT_EQ(ExitCodeOf(absl::CancelledError("x")), 130);
}

}  // namespace
}  // namespace attune::client
