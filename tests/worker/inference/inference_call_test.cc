#include "worker/inference/inference_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

TEST(CallContext, IsWaitedForUntilTheDeadline) {
  const absl::Time deadline = absl::FromUnixSeconds(100);
  CallContext context(deadline);

  EXPECT_TRUE(context.Check(deadline - absl::Nanoseconds(1)).ok());
  EXPECT_EQ(ReasonOf(context.Check(deadline)), Reason::kDeadlineExceeded);
}

TEST(CallContext, CancelEndsTheWait) {
  CallContext context;
  context.Cancel();

  EXPECT_EQ(ReasonOf(context.Check(absl::UnixEpoch())), Reason::kCancelled);
}

TEST(CallContext, ADeadlineStaysOneWhenItAlsoCancels) {
  CallContext context(absl::FromUnixSeconds(100));
  context.Cancel();

  EXPECT_EQ(ReasonOf(context.Check(absl::FromUnixSeconds(100))),
            Reason::kDeadlineExceeded);
}

TEST(MakeErrorResult, CarriesCodeReasonAndMessage) {
  const auto result = MakeErrorResult(
      MakeError(Reason::kInputTooLong, "too long"), "prompts/x/versions/1");

  EXPECT_EQ(result.error().code(), 3);
  EXPECT_EQ(result.error().reason(), "INPUT_TOO_LONG");
  EXPECT_EQ(result.error().message(), "too long");
  EXPECT_EQ(result.prompt_version(), "prompts/x/versions/1");
}

TEST(MakeErrorResult, AnErrorFromElsewhereGetsAReasonAndItsTextIsUtf8) {
  const auto result = MakeErrorResult(absl::NotFoundError("no \xff"), "");

  EXPECT_EQ(result.error().code(), 5);
  EXPECT_EQ(result.error().reason(), "RESOURCE_NOT_FOUND");
  EXPECT_EQ(result.error().message(), "no ?");
}

}  // namespace
}  // namespace attune::worker
