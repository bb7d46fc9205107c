#include "server/datasets/new_dataset.h"

#include <soci/soci.h>

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/datasets/dataset_catalog.h"
#include "server/store/database.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::_;
using testing::HasSubstr;

class NewDatasetTest : public testing::Test {
 protected:
  std::unique_ptr<NewDataset> Begin() {
    return state_.datasets->BeginDataset("new").value();
  }
  int RowsIn(const std::string& table) {
    int count = -1;
    EXPECT_OK(state_.database->Read([&](soci::session& sql) {
      sql << "SELECT COUNT(*) FROM " << table, soci::into(count);
      return absl::OkStatus();
    }));
    return count;
  }

  ServerState state_;
};

TEST_F(NewDatasetTest, IsThereWithAllItsRowsAtOnce) {
  const auto dataset = Begin();
  ASSERT_OK(dataset->Add(R"({"text": "a", "split": "train"})"));
  ASSERT_OK(dataset->Add(R"({"text": "b", "split": "dev"})"));
  EXPECT_THAT(state_.datasets->GetDataset("new"),
              ReasonIs(Reason::kResourceNotFound, _));

  const auto made = dataset->Finish();

  ASSERT_OK(made);
  EXPECT_EQ(made->name(), "datasets/new");
  EXPECT_EQ(made->num_rows(), 2);
  EXPECT_EQ(made->split_rows().at("train"), 1);
  EXPECT_EQ(made->split_rows().at("validation"), 1);
  EXPECT_EQ(made->uid().size(), 36u);
  const auto pinned = state_.datasets->Pin("new");
  ASSERT_OK(pinned);
  SnapshotReader reader = state_.datasets->OpenRows(*pinned);
  const auto rows = reader.Next();
  ASSERT_OK(rows);  // which holds them against the digest
  EXPECT_EQ(rows->front(), R"({"split":"train","text":"a"})");
}

TEST_F(NewDatasetTest, NothingStaysOfOneThatIsGivenUp) {
  auto dataset = Begin();
  const std::string row = Concat("{\"t\":\"", std::string(200'000, 'x'), "\"}");
  for (int i = 0; i < 8; ++i) ASSERT_OK(dataset->Add(row));
  EXPECT_EQ(RowsIn("segments"), 1);

  dataset.reset();

  EXPECT_EQ(RowsIn("segments"), 0);
  EXPECT_EQ(RowsIn("datasets"), 0);
}

TEST_F(NewDatasetTest, AnIdThatIsTakenIsRefusedAtBothEnds) {
  auto dataset = Begin();
  ASSERT_OK(dataset->Add("{}"));
  v1::CreateDatasetRequest request;
  request.set_dataset_id("new");
  ASSERT_OK(state_.datasets->CreateDataset(request));

  EXPECT_THAT(dataset->Finish(),
              ReasonIs(Reason::kResourceExists, HasSubstr("datasets/new")));
  dataset.reset();
  EXPECT_EQ(state_.datasets->GetDataset("new")->num_rows(), 0);
  EXPECT_EQ(RowsIn("segments"), 0);
  EXPECT_THAT(state_.datasets->BeginDataset("new").status(),
              ReasonIs(Reason::kResourceExists, HasSubstr("datasets/new")));
}

TEST_F(NewDatasetTest, ARowThatIsWrongIsRefused) {
  const auto dataset = Begin();

  EXPECT_THAT(dataset->Add("[]"), ReasonIs(Reason::kInvalidData, _));
  EXPECT_THAT(dataset->Add(R"({"split": "eval"})"),
              ReasonIs(Reason::kInvalidData, HasSubstr("eval")));
}

}  // namespace
}  // namespace attune::server
