#include "server/datasets/row_stage.h"

#include <soci/soci.h>

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/datasets/row_format.h"
#include "server/store/database.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::HasSubstr;

class RowStageTest : public testing::Test {
 protected:
  RowStageTest() {
    base_.set_name("datasets/d");
    base_.set_digest(RowDigest().hex());
  }

  static Row StagedRow(const std::string& json, const std::string& split = "") {
    return {.json = json, .split = split};
  }
  int Segments() {
    int count = -1;
    EXPECT_OK(state_.database->Read([&](soci::session& sql) {
      sql << "SELECT COUNT(*) FROM segments", soci::into(count);
      return absl::OkStatus();
    }));
    return count;
  }

  ServerState state_;
  v1::Dataset base_;
};

TEST_F(RowStageTest, CountsWhatItHolds) {
  RowStage stage(*state_.database, base_);
  ASSERT_OK(stage.Add(StagedRow(R"({"a":1})", "train")));
  ASSERT_OK(stage.Add(StagedRow(R"({"a":22})", "test")));
  EXPECT_EQ(stage.num_bytes(), 15);

  ASSERT_OK(stage.Flush());

  RowDigest expected;
  expected.Add(R"({"a":1})");
  expected.Add(R"({"a":22})");
  EXPECT_EQ(stage.num_rows(), 2);
  EXPECT_EQ(stage.num_bytes(), 15);
  EXPECT_EQ(stage.staged().num_bytes, 15);
  EXPECT_EQ(stage.staged().split_rows.at("train"), 1);
  EXPECT_EQ(stage.staged().split_rows.at("test"), 1);
  EXPECT_EQ(stage.staged().digest, expected.hex());
  EXPECT_NE(stage.staged().segment, 0);
}

TEST_F(RowStageTest, MuchIsWrittenBeforeTheFlush) {
  RowStage stage(*state_.database, base_);
  const std::string row = Concat("{\"t\":\"", std::string(200'000, 'x'), "\"}");

  for (int i = 0; i < 6; ++i) ASSERT_OK(stage.Add(StagedRow(row)));

  EXPECT_EQ(Segments(), 1);
}

TEST_F(RowStageTest, RowsThatAreNotPublishedGoWithIt) {
  {
    RowStage stage(*state_.database, base_);
    ASSERT_OK(stage.Add(StagedRow("{}")));
    ASSERT_OK(stage.Flush());
    EXPECT_EQ(Segments(), 1);
  }
  EXPECT_EQ(Segments(), 0);

  {
    RowStage stage(*state_.database, base_);
    ASSERT_OK(stage.Add(StagedRow("{}")));
    ASSERT_OK(stage.Flush());
    stage.Release();
  }
  EXPECT_EQ(Segments(), 1);
}

TEST_F(RowStageTest, MoreRowsThanADatasetMayHaveAreRefused) {
  base_.set_num_rows(kMaxDatasetRows);
  DatasetRecord record{.number = 1, .id = "d", .dataset = base_};
  RowStage stage(*state_.database, base_);
  ASSERT_OK(stage.Add(StagedRow("{}")));
  ASSERT_OK(stage.Flush());

  EXPECT_THAT(state_.database->Transact([&](soci::session& sql) {
    return PublishRows(sql, stage.staged(), absl::UnixEpoch(), record);
  }),
              ReasonIs(Reason::kLimitExceeded, HasSubstr("datasets/d")));
}

}  // namespace
}  // namespace attune::server
