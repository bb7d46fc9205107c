#include "client/commands/datasets.h"

#include <atomic>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class DatasetsTest : public testing::Test {
 protected:
  DatasetsTest() {
    dataset_.set_name("datasets/d");
    dataset_.set_num_rows(1500);
    dataset_.set_size_bytes(2048);
    (*dataset_.mutable_split_rows())["test"] = 150;
    (*dataset_.mutable_split_rows())["train"] = 1300;
    (*dataset_.mutable_split_rows())[""] = 50;
    dataset_.mutable_update_time()->set_seconds(1704067200 - 60);
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), "datasets");
    return RunClient(fake_.address(), std::move(arguments), options);
  }

  TempDirectory directory_;
  FakeAttune fake_;
  v1::Dataset dataset_;
};

TEST_F(DatasetsTest, CreateSendsIdAndName) {
  v1::CreateDatasetRequest sent;
  fake_.scripts.create_dataset = [&](const auto& request, v1::Dataset& d) {
    sent = request;
    d.set_name("datasets/d");
    return absl::OkStatus();
  };

  const RunResult run =
      Run({"create", "datasets/d", "--display-name", "My rows"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "datasets/d: 0 rows\n");
  EXPECT_EQ(sent.dataset_id(), "d");
  EXPECT_EQ(sent.dataset().display_name(), "My rows");
  EXPECT_EQ(sent.request_id().size(), 36u);
}

TEST_F(DatasetsTest, CreateOfWhatExistsIsExitCodeThree) {
  fake_.scripts.create_dataset = [](const auto&, v1::Dataset&) {
    return MakeError(Reason::kResourceExists, "dataset 'datasets/d' exists");
  };

  const RunResult run = Run({"create", "d"});

  EXPECT_EQ(run.exit_code, 3);
  EXPECT_EQ(run.err,
            "error: dataset 'datasets/d' exists\n"
            "hint: take another id, or go on with the one that exists\n");
}

TEST_F(DatasetsTest, UploadSendsAHeaderAndTheBytes) {
  std::vector<v1::UploadExamplesRequest> sent;
  fake_.scripts.upload = [&](const auto& messages, v1::Dataset& dataset) {
    sent = messages;
    dataset = dataset_;
    return absl::OkStatus();
  };
  const std::string bytes(1200000, 'x');
  WriteBytes(directory_ / "rows.jsonl", bytes);

  const RunResult run =
      Run({"upload", "d", directory_ / "rows.jsonl", "--split", "train"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out,
            "datasets/d: 1,500 rows (train 1,300, test 150, without a split "
            "50)\n");
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(sent[0].header().dataset(), "datasets/d");
  EXPECT_EQ(sent[0].header().split(), "train");
  EXPECT_EQ(sent[0].header().format(),
            v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_LINES);
  EXPECT_EQ(sent[1].chunk() + sent[2].chunk() + sent[3].chunk(), bytes);
}

TEST_F(DatasetsTest, UploadSaysWhichFormatTheFileHas) {
  std::vector<v1::UploadExamplesHeader> sent;
  fake_.scripts.upload = [&](const auto& messages, v1::Dataset&) {
    sent.push_back(messages[0].header());
    return absl::OkStatus();
  };
  WriteBytes(directory_ / "rows.csv", "text\nhi\n");
  WriteBytes(directory_ / "rows.txt", "text\nhi\n");
  RunOptions options;
  options.input = "a O\n";

  EXPECT_EQ(Run({"upload", "d", directory_ / "rows.csv"}).exit_code, 0);
  EXPECT_EQ(Run({"upload", "d", directory_ / "rows.txt", "--format", "tsv"})
                .exit_code,
            0);
  EXPECT_EQ(Run({"upload", "d", "-", "--format", "conll"}, options).exit_code,
            0);
  EXPECT_EQ(Run({"upload", "d", "-"}, options).exit_code, 0);
  const RunResult unknown = Run({"upload", "d", directory_ / "rows.txt"});

  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(sent[0].format(), v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV);
  EXPECT_EQ(sent[1].format(), v1::UploadExamplesHeader::UPLOAD_FORMAT_TSV);
  EXPECT_EQ(sent[2].format(), v1::UploadExamplesHeader::UPLOAD_FORMAT_CONLL);
  EXPECT_EQ(sent[3].format(),
            v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_LINES);
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err,
              HasSubstr("say --format: jsonl, json, csv, tsv or conll"));
}

TEST_F(DatasetsTest, ABrokenUploadIsSentAgainUnderTheSameRequestId) {
  std::vector<std::string> request_ids;
  fake_.scripts.upload = [&](const auto& messages, v1::Dataset&) {
    request_ids.push_back(messages[0].header().request_id());
    return request_ids.size() == 1
               ? MakeError(Reason::kDraining, "shutting down")
               : absl::OkStatus();
  };
  RunOptions options;
  options.input = "{}\n";

  EXPECT_EQ(Run({"upload", "d", "-"}, options).exit_code, 0);

  ASSERT_EQ(request_ids.size(), 2u);
  EXPECT_EQ(request_ids[0], request_ids[1]);
  EXPECT_EQ(request_ids[0].size(), 36u);
}

TEST_F(DatasetsTest, UploadOfNoFileIsAUsageError) {
  const RunResult run = Run({"upload", "d", directory_ / "none.jsonl"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("none.jsonl: No such file"));
}

TEST_F(DatasetsTest, AppendTakesFieldsOrRows) {
  v1::AppendExamplesRequest sent;
  fake_.scripts.append = [&](const auto& request, v1::Dataset& dataset) {
    sent = request;
    dataset = dataset_;
    return absl::OkStatus();
  };

  RunResult run =
      Run({"append", "d", "--field", "text=[a,b]", "--field", "label=x"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(sent.rows_size(), 1);
  EXPECT_EQ(sent.rows(0).fields().at("text").string_value(), "[a,b]");
  EXPECT_EQ(sent.rows(0).fields().at("label").string_value(), "x");

  RunOptions options;
  options.input = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
  run = Run({"append", "d", "-f", "-", "--request-id", "r"}, options);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(sent.rows_size(), 2);
  EXPECT_EQ(sent.request_id(), "r");
}

TEST_F(DatasetsTest, AppendNeedsFieldsOrRows) {
  EXPECT_EQ(Run({"append", "d"}).exit_code, 2);
  EXPECT_EQ(Run({"append", "d", "-f", "x", "--field", "a=b"}).exit_code, 2);
}

TEST_F(DatasetsTest, ListIsATable) {
  fake_.scripts.list_datasets = [&](const auto&, auto& response) {
    *response.add_datasets() = dataset_;
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"list"}).out,
            "NAME   ROWS  SPLITS                                        SIZE  "
            "UPDATED\n"
            "d     1,500  train 1,300, test 150, without a split 50  2.0 KiB  "
            " 1m ago\n");
}

TEST_F(DatasetsTest, GetShowsDetails) {
  fake_.scripts.get_dataset = [&](const auto& request, v1::Dataset& dataset) {
    EXPECT_EQ(request.name(), "datasets/d");
    dataset = dataset_;
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"get", "d"}).out,
            "name:    datasets/d\n"
            "rows:    1,500\n"
            "splits:  train 1,300, test 150, without a split 50\n"
            "size:    2.0 KiB\n"
            "created: -\n"
            "updated: 2023-12-31 23:59:00 UTC\n");
  EXPECT_THAT(Run({"get", "d", "-o", "json"}).out,
              HasSubstr("\"numRows\": \"1500\""));
}

TEST_F(DatasetsTest, DeleteOfWhatIsInUseIsExitCodeThree) {
  fake_.scripts.delete_dataset = [](const auto&, auto&) {
    return MakeError(Reason::kResourceInUse, "tuningJobs/a uses it");
  };

  EXPECT_EQ(Run({"delete", "d"}).exit_code, 3);
}

}  // namespace
}  // namespace attune::client
