#include "server/api/artifact_download.h"

#include <string>

#include "attune/v1/prompt_service.grpc.pb.h"
#include "proto/cc/digest.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using PromptsStub = v1::PromptService::Stub;

class ArtifactDownloadTest : public testing::Test {
 protected:
  // Uploads for attempt 1 of tuningJobs/one; files over 1 MiB in two chunks.
  absl::StatusOr<worker::v1::UploadArtifactResponse> Upload(
      const Artifact& artifact) {
    constexpr size_t kChunkBytes = size_t{1} << 20;
    grpc::ClientContext context;
    SetDeadline(context);
    worker::v1::UploadArtifactResponse response;
    const auto writer = worker_.control().UploadArtifact(&context, &response);
    worker::v1::UploadArtifactRequest message;
    message.mutable_header()->set_tuning_job("tuningJobs/one");
    message.mutable_header()->set_attempt(1);
    writer->Write(message);
    for (const ArtifactEntry& entry : EntriesOf(artifact)) {
      message.mutable_file()->set_name(entry.name);
      message.mutable_file()->set_size_bytes(entry.size_bytes);
      message.mutable_file()->set_sha256(entry.sha256);
      writer->Write(message);
      const std::string& bytes = artifact.files.at(entry.name);
      for (size_t sent = 0; sent < bytes.size(); sent += kChunkBytes) {
        message.set_chunk(bytes.substr(sent, kChunkBytes));
        writer->Write(message);
      }
    }
    writer->WritesDone();
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(writer->Finish()));
    return response;
  }

  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<PromptsStub> stub_ =
      v1::PromptService::NewStub(server_.channel());
};

TEST_F(ArtifactDownloadTest, SendsEachFileInChunks) {
  ASSERT_OK(Call(*v1::TuningService::NewStub(server_.channel()),
                 &v1::TuningService::Stub::CreateTuningJob,
                 SoundCreateRequest("one")));
  worker_.Synchronize();
  const std::string large((size_t{1} << 20) + 5, 'L');
  const auto stored = Upload({{{"a.json", "{}"}, {"b.bin", large}, {"c", ""}}});
  ASSERT_OK(stored);
  worker::v1::DownloadArtifactRequest request;
  request.set_digest(stored->digest());
  const auto all =
      ReadAll(worker_.control(),
              &worker::v1::WorkerControl::Stub::DownloadArtifact, request);

  ASSERT_OK(all.status);
  ASSERT_EQ(all.messages.size(), 6u);
  EXPECT_EQ(all.messages[0].file().name(), "a.json");
  EXPECT_EQ(all.messages[0].file().sha256(), Sha256Hex("{}"));
  EXPECT_EQ(all.messages[1].chunk(), "{}");
  EXPECT_EQ(all.messages[2].file().size_bytes(), (1 << 20) + 5);
  EXPECT_EQ(all.messages[3].chunk().size(), size_t{1} << 20);
  EXPECT_EQ(all.messages[4].chunk(), "LLLLL");
  EXPECT_EQ(all.messages[5].file().name(), "c");
}

TEST_F(ArtifactDownloadTest, UnknownVersionsAreNotFound) {
  const auto all =
      ReadAll(*stub_, &PromptsStub::DownloadPromptVersion,
              Named<v1::DownloadPromptVersionRequest>("prompts/none"));

  EXPECT_THAT(all.status, ReasonIs(Reason::kResourceNotFound, testing::_));
}

}  // namespace
}  // namespace attune::server
