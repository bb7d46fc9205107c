#include "worker/agent/remote_artifact_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/worker/agent/mock_server_stub.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::Return;

TEST(RemoteArtifactSource, HasUntilTheDeadline) {
  FakeClock clock;
  testing::StrictMock<MockServerStub> stub;
  EXPECT_CALL(stub, DownloadArtifact("d", absl::Seconds(5)))
      .WillOnce(Return(Artifact{{{"a", "b"}}}));
  RemoteArtifactSource source(stub, clock);

  const auto artifact = source.Fetch("d", clock.Now() + absl::Seconds(5));

  ASSERT_TRUE(artifact.ok());
  EXPECT_EQ(artifact->files.at("a"), "b");
}

TEST(RemoteArtifactSource, AfterTheDeadlineNothingIsAsked) {
  FakeClock clock;
  testing::StrictMock<MockServerStub> stub;
  RemoteArtifactSource source(stub, clock);

  EXPECT_EQ(ReasonOf(source.Fetch("d", clock.Now()).status()),
            Reason::kDeadlineExceeded);
}

}  // namespace
}  // namespace attune::worker
