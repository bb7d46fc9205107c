#include "server/api/dataset_service.h"

#include <string>
#include <vector>

#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using DatasetsStub = v1::DatasetService::Stub;

class DatasetServiceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(Create("rows")); }

  absl::StatusOr<v1::Dataset> Create(const std::string& id) {
    v1::CreateDatasetRequest request;
    request.set_dataset_id(id);
    return Call(*stub_, &DatasetsStub::CreateDataset, request);
  }
  absl::StatusOr<v1::Dataset> Get(const std::string& name) {
    return Call(*stub_, &DatasetsStub::GetDataset,
                Named<v1::GetDatasetRequest>(name));
  }
  // Sends the messages and ends the stream.
  absl::StatusOr<v1::Dataset> Upload(
      const std::vector<v1::UploadExamplesRequest>& messages) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::Dataset dataset;
    const auto writer = stub_->UploadExamples(&context, &dataset);
    for (const auto& message : messages) writer->Write(message);
    writer->WritesDone();
    const absl::Status status = FromGrpcStatus(writer->Finish());
    if (!status.ok()) return status;
    return dataset;
  }
  static v1::UploadExamplesRequest Header() {
    v1::UploadExamplesRequest message;
    message.mutable_header()->set_dataset("datasets/rows");
    return message;
  }
  static v1::UploadExamplesRequest Chunk(const std::string& bytes) {
    v1::UploadExamplesRequest message;
    message.set_chunk(bytes);
    return message;
  }

  InProcessServer server_;
  std::unique_ptr<DatasetsStub> stub_ =
      v1::DatasetService::NewStub(server_.channel());
};

TEST_F(DatasetServiceTest, ListsAndDeletes) {
  ASSERT_OK(Create("more"));
  const auto list =
      Call(*stub_, &DatasetsStub::ListDatasets, v1::ListDatasetsRequest());
  ASSERT_OK(list);
  ASSERT_OK(Call(*stub_, &DatasetsStub::DeleteDataset,
                 Named<v1::DeleteDatasetRequest>("datasets/more")));

  ASSERT_EQ(list->datasets_size(), 2);
  EXPECT_EQ(list->datasets(0).name(), "datasets/more");
  EXPECT_EQ(list->datasets(1).name(), "datasets/rows");
  EXPECT_THAT(Get("datasets/more"),
              ReasonIs(Reason::kResourceNotFound, testing::_));
}

TEST_F(DatasetServiceTest, IdsAndNamesAreChecked) {
  EXPECT_THAT(Create("Rows"), NamesField(Reason::kInvalidField, "dataset_id"));
  EXPECT_THAT(Create("rows"), ReasonIs(Reason::kResourceExists, testing::_));
  EXPECT_THAT(Get("rows"), NamesField(Reason::kInvalidField, "name"));
}

TEST_F(DatasetServiceTest, AppendsRows) {
  v1::AppendExamplesRequest request;
  request.set_dataset("datasets/rows");
  (*request.add_rows()->mutable_fields())["text"].set_string_value("hi");
  const auto dataset = Call(*stub_, &DatasetsStub::AppendExamples, request);

  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->num_rows(), 1);
}

TEST_F(DatasetServiceTest, UploadsAFileCutAnywhere) {
  const auto dataset = Upload(
      {Header(), Chunk("{\"text\": \"a\"}\n{\"te"), Chunk("xt\": \"b\"}\n")});

  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->num_rows(), 2);
}

TEST_F(DatasetServiceTest, AWorkerGetsTheRowsOfACsvFile) {
  v1::UploadExamplesRequest csv = Header();
  csv.mutable_header()->set_format(v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV);
  csv.mutable_header()->set_split("train");
  ASSERT_OK(Upload({csv, Chunk("text,label\n\"say \"\"ye"),
                    Chunk("s\"\"\",yes\nsay no,no\n")}));
  FakeWorker worker(server_.channel(), "w");
  v1::CreateTuningJobRequest create = SoundCreateRequest("one");
  create.mutable_tuning_job()->mutable_spec()->mutable_data()->set_dataset(
      "datasets/rows");
  ASSERT_OK(Call(*v1::TuningService::NewStub(server_.channel()),
                 &v1::TuningService::Stub::CreateTuningJob, create));
  worker::v1::ReadSnapshotRequest request;
  const auto work = worker.Synchronize().assignment();
  request.set_tuning_job(work.tuning_job().name());
  request.set_attempt(work.attempt());

  const auto rows =
      ReadAll(worker.control(), &worker::v1::WorkerControl::Stub::ReadSnapshot,
              request);

  ASSERT_OK(rows.status);
  ASSERT_EQ(rows.messages.size(), 1u);
  EXPECT_THAT(rows.messages[0].rows(),
              testing::ElementsAre(
                  R"({"label":"yes","split":"train","text":"say \"yes\""})",
                  R"({"label":"no","split":"train","text":"say no"})"));
}

TEST_F(DatasetServiceTest, AWrongCellLeavesNothing) {
  v1::UploadExamplesRequest csv = Header();
  csv.mutable_header()->set_format(v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV);

  EXPECT_THAT(Upload({csv, Chunk("text,label\nhi,a\nho,\"b\n")}),
              ReasonIs(Reason::kInvalidData,
                       testing::HasSubstr("line 3 begins a quote in column "
                                          "'label'")));
  EXPECT_EQ(Get("datasets/rows")->num_rows(), 0);
}

TEST_F(DatasetServiceTest, AWrongLineLeavesNothing) {
  const auto dataset = Upload({Header(), Chunk("{\"text\": \"a\"}\n{oops\n")});

  EXPECT_THAT(dataset,
              ReasonIs(Reason::kInvalidData, testing::HasSubstr("line 2")));
  EXPECT_EQ(Get("datasets/rows")->num_rows(), 0);
}

TEST_F(DatasetServiceTest, HalfAnUploadLeavesNothing) {
  {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::Dataset dataset;
    const auto writer = stub_->UploadExamples(&context, &dataset);
    ASSERT_TRUE(writer->Write(Header()));
    ASSERT_TRUE(writer->Write(Chunk("{\"text\": \"a\"}\n")));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // The upload's call has ended when the drain is over.
  EXPECT_EQ(Get("datasets/rows")->num_rows(), 0);
  server_.server().Drain(absl::Seconds(20));
}

TEST_F(DatasetServiceTest, MessagesMustComeInOrder) {
  v1::UploadExamplesRequest unknown = Header();
  unknown.mutable_header()->set_format(
      static_cast<v1::UploadExamplesHeader::UploadFormat>(77));

  EXPECT_THAT(Upload({}), NamesField(Reason::kInvalidField, "header"));
  EXPECT_THAT(Upload({Chunk("{}")}),
              NamesField(Reason::kInvalidField, "header"));
  EXPECT_THAT(Upload({Header(), Header()}),
              NamesField(Reason::kInvalidField, "chunk"));
  EXPECT_THAT(Upload({unknown}),
              NamesField(Reason::kUnsupportedField, "header.format"));
  EXPECT_THAT(Upload({Header(), Chunk(std::string((1 << 20) + 1, ' '))}),
              NamesField(Reason::kInvalidField, "chunk"));
}

TEST_F(DatasetServiceTest, ASilentUploadIsEnded) {
  grpc::ClientContext context;
  SetDeadline(context);
  v1::Dataset dataset;
  const auto writer = stub_->UploadExamples(&context, &dataset);
  ASSERT_TRUE(writer->Write(Header()));

  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              ReasonIs(Reason::kWatchTooSlow, testing::_));
}

}  // namespace
}  // namespace attune::server
