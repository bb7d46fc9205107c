#include "server/datasets/dataset_upload.h"

#include <soci/soci.h>

#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/datasets/dataset_catalog.h"
#include "server/datasets/upload_format.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kUploadRequestId[] = "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d10";

class DatasetUploadTest : public testing::Test {
 protected:
  DatasetUploadTest() {
    v1::CreateDatasetRequest request;
    request.set_dataset_id("d");
    EXPECT_OK(state_.datasets->CreateDataset(request));
  }

  std::unique_ptr<DatasetUpload> Begin(v1::UploadExamplesHeader header = {}) {
    return state_.datasets->BeginUpload("d", header).value();
  }
  absl::StatusOr<v1::Dataset> Upload(const std::string& file,
                                     v1::UploadExamplesHeader header = {}) {
    auto upload = Begin(header);
    absl::Status status = upload->Write(file);
    if (!status.ok()) return status;
    return upload->Finish();
  }
  v1::Dataset Get() { return state_.datasets->GetDataset("d").value(); }

  int Count(const std::string& table) {
    int count = -1;
    EXPECT_OK(state_.database->Read([&](soci::session& sql) {
      sql << "SELECT COUNT(*) FROM " << table, soci::into(count);
      return absl::OkStatus();
    }));
    return count;
  }
  // The digest that the stored rows have in truth.
  std::string DigestOfRows() {
    v1::Dataset dataset = Get();
    PinnedRows rows = state_.datasets->Pin("d").value();
    SnapshotReader reader(
        *state_.database,
        {rows.dataset_number, 0, dataset.num_rows(), dataset.digest()});
    RowDigest digest;
    while (true) {
      auto next = reader.Next();
      EXPECT_OK(next);
      if (!next.ok() || next->empty()) return digest.hex();
      for (const std::string& row : *next) digest.Add(row);
    }
  }

  ServerState state_;
};

TEST_F(DatasetUploadTest, StoresAFileCutAnywhere) {
  v1::UploadExamplesHeader header;
  header.set_split("train");
  auto upload = Begin(header);
  for (char c : std::string("{\"a\": 1}\n\n{\"split\": \"dev\"}\n{\"a\": 2}")) {
    ASSERT_OK(upload->Write(std::string(1, c)));
  }
  EXPECT_EQ(Get().num_rows(), 0) << "nothing is visible before the end";

  auto dataset = upload->Finish();

  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->num_rows(), 3);
  EXPECT_EQ(dataset->split_rows().at("train"), 2);
  EXPECT_EQ(dataset->split_rows().at("validation"), 1);
  EXPECT_EQ(DigestOfRows(), dataset->digest());
}

TEST_F(DatasetUploadTest, AWrongLineStoresNothingAndIsNamed) {
  // Enough before it that rows were staged already.
  std::string file;
  for (int i = 0; i < 30; ++i) {
    file += Concat("{\"t\":\"", std::string(100'000, 'x'), "\"}\n");
  }
  file += "{\"t\":\n";

  EXPECT_THAT(Upload(file),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 31"), HasSubstr("not JSON"))));

  EXPECT_EQ(Get().num_rows(), 0);
  EXPECT_EQ(Count("segments"), 0);
  EXPECT_EQ(Count("blocks"), 0);
}

TEST_F(DatasetUploadTest, AnAbandonedUploadLeavesNothing) {
  auto upload = Begin();
  ASSERT_OK(
      upload->Write(Concat("{\"t\":\"", std::string(200'000, 'x'), "\"}\n")));
  upload.reset();

  EXPECT_EQ(Get().num_rows(), 0);
  EXPECT_EQ(Count("segments"), 0);
}

TEST_F(DatasetUploadTest, WhatACrashLeavesIsRemovedAtTheNextStart) {
  auto upload = Begin();
  std::string line = Concat("{\"t\":\"", std::string(200'000, 'x'), "\"}\n");
  for (int i = 0; i < 8; ++i) ASSERT_OK(upload->Write(line));
  ASSERT_EQ(Count("segments"), 1);
  // A crash does not run destructors.
  state_.before_commit = [] { return absl::InternalError("dead"); };
  upload.reset();
  state_.before_commit = nullptr;
  ASSERT_EQ(Count("segments"), 1);

  state_.Restart();

  EXPECT_EQ(Count("segments"), 0);
  EXPECT_EQ(Get().num_rows(), 0);
}

TEST_F(DatasetUploadTest, AnAppendDuringAnUploadKeepsBoth) {
  auto upload = Begin();
  ASSERT_OK(upload->Write("{\"a\":1}\n{\"a\":2}\n"));
  v1::AppendExamplesRequest append;
  (*append.add_rows()->mutable_fields())["b"].set_number_value(3);
  ASSERT_OK(state_.datasets->AppendExamples("d", append));

  auto dataset = upload->Finish();

  EXPECT_EQ(dataset->num_rows(), 3);
  EXPECT_EQ(DigestOfRows(), dataset->digest());
  RowDigest expected;
  for (const char* row : {"{\"b\":3}", "{\"a\":1}", "{\"a\":2}"}) {
    expected.Add(row);
  }
  EXPECT_EQ(dataset->digest(), expected.hex());
}

TEST_F(DatasetUploadTest, ADatasetDeletedMeanwhileIsNotFound) {
  auto upload = Begin();
  ASSERT_OK(upload->Write("{\"a\":1}\n"));
  ASSERT_OK(state_.datasets->DeleteDataset("d"));
  v1::CreateDatasetRequest request;
  request.set_dataset_id("d");
  ASSERT_OK(state_.datasets->CreateDataset(request));

  EXPECT_THAT(upload->Finish(),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/d")));
  EXPECT_EQ(Get().num_rows(), 0);
}

TEST_F(DatasetUploadTest, ARepeatedUploadIsStoredOnce) {
  v1::UploadExamplesHeader header;
  header.set_dataset("datasets/d");
  header.set_request_id(kUploadRequestId);
  ASSERT_OK(Upload("{\"a\":1}\n", header));

  EXPECT_EQ(Upload("{\"a\":1}\n", header)->num_rows(), 1);
  EXPECT_THAT(Upload("{\"a\":2}\n", header),
              ReasonIs(Reason::kRequestIdReused, HasSubstr(kUploadRequestId)));
  EXPECT_EQ(Get().num_rows(), 1);
  EXPECT_EQ(Count("segments"), 1);
}

TEST_F(DatasetUploadTest, ARepeatedUploadIsAnsweredAlsoWhenTheDatasetIsFull) {
  ASSERT_OK(state_.database->Transact([](soci::session& sql) {
    DatasetRecord record = DatasetStore(sql).Find("d").value();
    record.dataset.set_num_rows(kMaxDatasetRows - 2);
    DatasetStore(sql).Update(record);
    return absl::OkStatus();
  }));
  v1::UploadExamplesHeader header;
  header.set_dataset("datasets/d");
  header.set_request_id(kUploadRequestId);
  ASSERT_OK(Upload("{}\n{}\n", header));

  auto repeated = Upload("{}\n{}\n", header);

  ASSERT_OK(repeated);
  EXPECT_EQ(repeated->num_rows(), kMaxDatasetRows);
}

TEST_F(DatasetUploadTest, AFileWithoutRowsIsRefused) {
  EXPECT_THAT(Upload(""), ReasonIs(Reason::kInvalidData, HasSubstr("no rows")));
  EXPECT_THAT(Upload("\n \n"),
              ReasonIs(Reason::kInvalidData, HasSubstr("no rows")));
}

TEST_F(DatasetUploadTest, AFileIsReadAsItsHeaderSays) {
  const std::pair<UploadFormat, std::string> files[] = {
      {v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_LINES,
       "{\"tags\":[\"O\"],\"tokens\":[\"a\"]}\n"},
      {v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_ARRAY,
       "[{\"tokens\":[\"a\"],\n\"tags\":[\"O\"]}]"},
      {v1::UploadExamplesHeader::UPLOAD_FORMAT_CONLL, "a O\n"},
      {v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV, "x,y\n1,2\n"},
      {v1::UploadExamplesHeader::UPLOAD_FORMAT_TSV, "x\ty\n1\t2\n"},
  };
  RowDigest expected;
  for (const auto& [format, file] : files) {
    v1::UploadExamplesHeader header;
    header.set_format(format);
    const bool csv = file[0] == 'x';
    expected.Add(csv ? R"({"x":"1","y":"2"})"
                     : R"({"tags":["O"],"tokens":["a"]})");

    EXPECT_EQ(Upload(file, header)->digest(), expected.hex()) << file;
  }
  EXPECT_EQ(DigestOfRows(), expected.hex());
}

TEST_F(DatasetUploadTest, AFormatsFileWithoutRowsIsRefused) {
  v1::UploadExamplesHeader header;
  header.set_format(v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV);
  EXPECT_THAT(Upload("a,b\n", header),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("no rows; send a line that names")));
  header.set_format(v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_ARRAY);
  EXPECT_THAT(Upload("[]", header),
              ReasonIs(Reason::kInvalidData, HasSubstr("a JSON array")));
}

TEST_F(DatasetUploadTest, AFileThatIsMuchLargerAsJsonIsRefused) {
  v1::UploadExamplesHeader header;
  header.set_format(v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV);
  DatasetRecord record;
  ASSERT_OK(state_.database->Read([&](soci::session& sql) {
    record = DatasetStore(sql).Find("d").value();
    return absl::OkStatus();
  }));
  const std::string row = Concat("{\"", std::string(250, 'x'), "\":\"1\"}");
  const int64_t most = 10 * static_cast<int64_t>(row.size());
  auto upload = DatasetUpload::Create(*state_.database, state_.clock, header,
                                      /*split=*/"", record, most);
  ASSERT_OK(upload);
  ASSERT_OK((*upload)->Write(std::string(250, 'x') + "\n"));
  for (int i = 0; i < 10; ++i) ASSERT_OK((*upload)->Write("1\n"));

  EXPECT_THAT(
      (*upload)->Write("1\n"),
      ReasonIs(Reason::kLimitExceeded,
               HasSubstr(Concat("more than ", most, " bytes as JSON"))));
}

TEST_F(DatasetUploadTest, WrongHeadersAreRefusedByName) {
  v1::UploadExamplesHeader header;
  header.set_split("eval");
  EXPECT_THAT(state_.datasets->BeginUpload("d", header),
              ReasonIs(Reason::kInvalidField, HasSubstr("header.split")));
  header.set_split("");
  header.set_format(static_cast<v1::UploadExamplesHeader::UploadFormat>(9));
  EXPECT_THAT(state_.datasets->BeginUpload("d", header),
              ReasonIs(Reason::kInvalidField, HasSubstr("header.format")));
  header.clear_format();
  header.set_request_id("x");
  EXPECT_THAT(state_.datasets->BeginUpload("d", header),
              ReasonIs(Reason::kInvalidField, HasSubstr("header.request_id")));
}

TEST_F(DatasetUploadTest, TooManyRowsAreRefused) {
  // The dataset is one row short of the limit.
  ASSERT_OK(state_.database->Transact([](soci::session& sql) {
    DatasetRecord record = DatasetStore(sql).Find("d").value();
    record.dataset.set_num_rows(kMaxDatasetRows - 1);
    DatasetStore(sql).Update(record);
    return absl::OkStatus();
  }));

  EXPECT_OK(Begin()->Write("{}\n"));
  EXPECT_THAT(Upload("{}\n{}\n"),
              ReasonIs(Reason::kLimitExceeded, HasSubstr("1000000 rows")));
}

TEST_F(DatasetUploadTest, TwoUploadsThatTogetherAreTooManyRowsAreRefused) {
  auto first = Begin();
  ASSERT_OK(first->Write("{}\n"));
  ASSERT_OK(state_.database->Transact([](soci::session& sql) {
    DatasetRecord record = DatasetStore(sql).Find("d").value();
    record.dataset.set_num_rows(kMaxDatasetRows);
    DatasetStore(sql).Update(record);
    return absl::OkStatus();
  }));

  EXPECT_THAT(first->Finish(),
              ReasonIs(Reason::kLimitExceeded, HasSubstr("1000000 rows")));
}

TEST_F(DatasetUploadTest, TooManyBytesAreRefused) {
  auto upload = Begin();
  std::string blank(kMaxUploadChunkBytes, ' ');
  for (size_t i = (64 << 10) - 1; i < blank.size(); i += 64 << 10) {
    blank[i] = '\n';
  }
  for (int i = 0; i < 256; ++i) ASSERT_OK(upload->Write(blank));

  EXPECT_THAT(upload->Write("\n"),
              ReasonIs(Reason::kLimitExceeded, HasSubstr("268435456 bytes")));
}

}  // namespace
}  // namespace attune::server
