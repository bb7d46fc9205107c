#include "server/store/dataset_store.h"

#include <soci/soci.h>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/store/database.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

class DatasetStoreTest : public testing::Test {
 protected:
  void Transact(absl::FunctionRef<void(DatasetStore&)> body) {
    ASSERT_OK(database_->Transact([&](soci::session& sql) {
      DatasetStore store(sql);
      body(store);
      return absl::OkStatus();
    }));
  }

  static DatasetRecord Make(const std::string& id) {
    DatasetRecord record;
    record.id = id;
    record.dataset.set_name(Concat("datasets/", id));
    record.dataset.set_uid(Concat("uid-", id));
    return record;
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
};

TEST_F(DatasetStoreTest, FindsByIdAndByUid) {
  Transact([](DatasetStore& store) {
    DatasetRecord record = Make("a");
    store.Insert(record);

    EXPECT_GT(record.number, 0);
    EXPECT_EQ(store.Find("a")->dataset.name(), "datasets/a");
    EXPECT_EQ(store.FindByUid("uid-a")->number, record.number);
    EXPECT_TRUE(store.Exists(record.number));
    EXPECT_FALSE(store.Find("b").has_value());
    EXPECT_FALSE(store.FindByUid("uid-b").has_value());
    EXPECT_FALSE(store.Exists(record.number + 1));
  });
}

TEST_F(DatasetStoreTest, KeepsAnUpdate) {
  Transact([](DatasetStore& store) {
    DatasetRecord record = Make("a");
    store.Insert(record);
    record.dataset.set_num_rows(7);
    (*record.dataset.mutable_split_rows())[""] = 7;
    store.Update(record);

    EXPECT_EQ(store.Find("a")->dataset.num_rows(), 7);
    EXPECT_EQ(store.Find("a")->dataset.split_rows().at(""), 7);
  });
}

TEST_F(DatasetStoreTest, ANumberIsNeverUsedAgain) {
  Transact([](DatasetStore& store) {
    DatasetRecord first = Make("a");
    store.Insert(first);
    store.Delete(first.number);
    DatasetRecord second = Make("a");
    store.Insert(second);

    EXPECT_GT(second.number, first.number);
  });
}

TEST_F(DatasetStoreTest, ListsByIdFromAPosition) {
  Transact([](DatasetStore& store) {
    for (const char* id : {"c", "a", "b"}) {
      DatasetRecord record = Make(id);
      store.Insert(record);
    }

    std::vector<DatasetRecord> all = store.List("", 10);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].id, "a");
    EXPECT_EQ(all[2].id, "c");
    std::vector<DatasetRecord> rest = store.List("a", 1);
    ASSERT_EQ(rest.size(), 1u);
    EXPECT_EQ(rest[0].id, "b");
  });
}

}  // namespace
}  // namespace attune::server
