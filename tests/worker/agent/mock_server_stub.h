#ifndef ATTUNE_TESTS_WORKER_AGENT_MOCK_SERVER_STUB_H_
#define ATTUNE_TESTS_WORKER_AGENT_MOCK_SERVER_STUB_H_

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "worker/agent/server_stub.h"

namespace attune::worker {

class MockServerStub : public ServerStub {
 public:
  MOCK_METHOD(absl::StatusOr<v1::SynchronizeResponse>, Synchronize,
              (const v1::SynchronizeRequest&, absl::Duration), (override));
  MOCK_METHOD(void, InterruptSynchronize, (), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<std::string>>, ReadSnapshot,
              (const v1::ReadSnapshotRequest&, absl::Duration), (override));
  MOCK_METHOD(absl::StatusOr<std::string>, UploadArtifact,
              (const v1::UploadArtifactHeader&, const Artifact&,
               absl::Duration),
              (override));
  MOCK_METHOD(absl::StatusOr<Artifact>, DownloadArtifact,
              (const std::string&, absl::Duration), (override));
  MOCK_METHOD(absl::Status, FinishAttempt,
              (const v1::FinishAttemptRequest&, absl::Duration), (override));
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_AGENT_MOCK_SERVER_STUB_H_
