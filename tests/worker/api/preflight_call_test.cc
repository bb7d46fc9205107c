#include "worker/api/preflight_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/api/rows_call_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::PreflightTuningJobRequest;
using attune::v1::PreflightTuningJobResponse;
using testing::_;
using testing::HasSubstr;

class PreflightCallTest : public RowsCallFixture {
 protected:
  absl::StatusOr<PreflightTuningJobResponse> Preflight(
      const std::vector<std::string>& rows) {
    grpc::ClientContext context;
    SetDeadline(context);
    PreflightTuningJobResponse response;
    const auto stream = stub_->Preflight(&context, &response);
    v1::EnginePreflightRequest first;
    first.mutable_header()->set_num_samples(4);
    stream->Write(first);
    SendRows<v1::EnginePreflightRequest>(rows, *stream);
    const absl::Status status = FromGrpcStatus(stream->Finish());
    if (!status.ok()) return status;
    return response;
  }
};

TEST_F(PreflightCallTest, AnswersWhatTheFunctionFinds) {
  preflight_ = [](const PreflightTuningJobRequest& request,
                  std::vector<std::string> rows,
                  const BackgroundWork::Pause& pause)
      -> absl::StatusOr<PreflightTuningJobResponse> {
    if (absl::Status paused = pause(); !paused.ok()) return paused;
    PreflightTuningJobResponse response;
    response.set_num_warnings(request.num_samples());
    response.set_num_errors(static_cast<int64_t>(rows.size()));
    response.add_findings()->set_message(rows.back());
    return response;
  };

  const auto response = Preflight({"1", "2", "3", "4", "5"});

  ASSERT_OK(response);
  EXPECT_EQ(response->num_warnings(), 4);
  EXPECT_EQ(response->num_errors(), 5);
  EXPECT_EQ(response->findings(0).message(), "5");
}

TEST_F(PreflightCallTest, AnErrorOrAnExceptionIsTheCalls) {
  preflight_ = [](const auto&, auto,
                  const auto&) -> absl::StatusOr<PreflightTuningJobResponse> {
    return MakeError(Reason::kModelMemoryFull, "no room");
  };
  EXPECT_THAT(Preflight({"{}"}),
              ReasonIs(Reason::kModelMemoryFull, HasSubstr("no room")));
  preflight_ = [](const auto&, auto,
                  const auto&) -> absl::StatusOr<PreflightTuningJobResponse> {
    throw std::bad_alloc();
  };
  EXPECT_THAT(Preflight({"{}"}), ReasonIs(Reason::kOutOfMemory, _));
}

}  // namespace
}  // namespace attune::worker
