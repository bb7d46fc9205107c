#include "server/datasets/dataset_catalog.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/store/row_store.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr char kRequestId[] = "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d10";

v1::CreateDatasetRequest MakeCreate(const std::string& id,
                                    const std::string& request_id = "") {
  v1::CreateDatasetRequest request;
  request.set_dataset_id(id);
  request.set_request_id(request_id);
  request.mutable_dataset()->set_display_name("Intents");
  return request;
}

v1::AppendExamplesRequest MakeAppend(const std::vector<std::string>& texts,
                                     const std::string& split = "") {
  v1::AppendExamplesRequest request;
  for (const std::string& text : texts) {
    auto& fields = *request.add_rows()->mutable_fields();
    fields["text"].set_string_value(text);
    if (!split.empty()) fields["split"].set_string_value(split);
  }
  return request;
}

std::string DigestOf(const std::vector<std::string>& rows) {
  RowDigest digest;
  for (const std::string& row : rows) digest.Add(row);
  return digest.hex();
}

class DatasetCatalogTest : public testing::Test {
 protected:
  DatasetCatalog& catalog() { return *state_.datasets; }
  void Create(const std::string& id) {
    ASSERT_OK(catalog().CreateDataset(MakeCreate(id)));
  }

  ServerState state_;
};

TEST_F(DatasetCatalogTest, ANewDatasetIsEmpty) {
  auto dataset = catalog().CreateDataset(MakeCreate("d"));

  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->name(), "datasets/d");
  EXPECT_EQ(dataset->display_name(), "Intents");
  EXPECT_EQ(dataset->uid().size(), 36u);
  EXPECT_EQ(dataset->num_rows(), 0);
  EXPECT_EQ(dataset->digest(), DigestOf({}));
  EXPECT_EQ(dataset->create_time().seconds(), 1704067200);
  EXPECT_EQ(catalog().GetDataset("d")->uid(), dataset->uid());
}

TEST_F(DatasetCatalogTest, AnIdIsTakenOnce) {
  Create("d");

  EXPECT_THAT(catalog().CreateDataset(MakeCreate("d")),
              ReasonIs(Reason::kResourceExists, HasSubstr("datasets/d")));
}

TEST_F(DatasetCatalogTest, ARepeatedCreateReturnsTheSameDataset) {
  auto first = catalog().CreateDataset(MakeCreate("d", kRequestId));
  state_.Restart();

  auto second = catalog().CreateDataset(MakeCreate("d", kRequestId));

  EXPECT_EQ(second->uid(), first->uid());
  EXPECT_THAT(catalog().CreateDataset(MakeCreate("other", kRequestId)),
              ReasonIs(Reason::kRequestIdReused, HasSubstr(kRequestId)));
  EXPECT_THAT(catalog().CreateDataset(MakeCreate("x", "no-uuid")),
              ReasonIs(Reason::kInvalidField, HasSubstr("request_id")));
}

TEST_F(DatasetCatalogTest, ARepeatedCreateOfADeletedDatasetIsNotFound) {
  ASSERT_OK(catalog().CreateDataset(MakeCreate("d", kRequestId)));
  ASSERT_OK(catalog().DeleteDataset("d"));

  EXPECT_THAT(catalog().CreateDataset(MakeCreate("d", kRequestId)),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("deleted")));
}

TEST_F(DatasetCatalogTest, AppendsCountRowsBytesAndSplits) {
  Create("d");
  ASSERT_OK(catalog().AppendExamples("d", MakeAppend({"a", "b"}, "dev")));
  state_.clock.Advance(absl::Seconds(5));

  auto dataset = catalog().AppendExamples("d", MakeAppend({"c"}));

  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->num_rows(), 3);
  EXPECT_EQ(dataset->split_rows().at("validation"), 2);
  EXPECT_EQ(dataset->split_rows().at(""), 1);
  EXPECT_EQ(dataset->size_bytes(), 33 + 33 + 12);
  EXPECT_EQ(dataset->digest(), DigestOf({R"({"split":"validation","text":"a"})",
                                         R"({"split":"validation","text":"b"})",
                                         R"({"text":"c"})"}));
  EXPECT_EQ(dataset->update_time().seconds(), 1704067205);
}

TEST_F(DatasetCatalogTest, OneWrongRowMeansThatNoneIsStored) {
  Create("d");
  v1::AppendExamplesRequest request = MakeAppend({"a", "b", "c"});
  (*request.mutable_rows(1)->mutable_fields())["x"].set_number_value(
      std::nan(""));

  EXPECT_THAT(catalog().AppendExamples("d", request),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("rows[1]"), HasSubstr("finite"))));
  EXPECT_EQ(catalog().GetDataset("d")->num_rows(), 0);
}

TEST_F(DatasetCatalogTest, TooFewAndTooManyRowsAreRefused) {
  Create("d");
  v1::AppendExamplesRequest many;
  for (int i = 0; i <= kMaxAppendRows; ++i) many.add_rows();
  v1::AppendExamplesRequest big =
      MakeAppend(std::vector<std::string>(13, std::string(250'000, 'x')));

  EXPECT_THAT(catalog().AppendExamples("d", {}),
              ReasonIs(Reason::kInvalidField, HasSubstr("at least one row")));
  EXPECT_THAT(catalog().AppendExamples("d", many),
              ReasonIs(Reason::kInvalidField, HasSubstr("10001 rows")));
  EXPECT_THAT(catalog().AppendExamples("d", big),
              ReasonIs(Reason::kInvalidField, HasSubstr("upload a file")));
}

TEST_F(DatasetCatalogTest, ARepeatedAppendAppendsOnce) {
  Create("d");
  v1::AppendExamplesRequest request = MakeAppend({"a"});
  request.set_request_id(kRequestId);
  ASSERT_OK(catalog().AppendExamples("d", request));

  EXPECT_EQ(catalog().AppendExamples("d", request)->num_rows(), 1);
  request.add_rows();
  EXPECT_THAT(catalog().AppendExamples("d", request),
              ReasonIs(Reason::kRequestIdReused, HasSubstr(kRequestId)));
}

TEST_F(DatasetCatalogTest, AFailedCommitLeavesNothing) {
  Create("d");
  state_.before_commit = [] {
    return MakeError(Reason::kStorageFull, "disk full");
  };

  EXPECT_THAT(catalog().AppendExamples("d", MakeAppend({"a"})),
              ReasonIs(Reason::kStorageFull, HasSubstr("disk full")));

  state_.before_commit = nullptr;
  EXPECT_EQ(catalog().AppendExamples("d", MakeAppend({"b"}))->digest(),
            DigestOf({R"({"text":"b"})"}));
}

TEST_F(DatasetCatalogTest, MissingDatasetsAreNotFound) {
  EXPECT_THAT(catalog().GetDataset("x"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/x")));
  EXPECT_THAT(catalog().DeleteDataset("x"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/x")));
  EXPECT_THAT(catalog().AppendExamples("x", MakeAppend({"a"})),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/x")));
  EXPECT_THAT(catalog().Pin("x"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/x")));
  EXPECT_THAT(catalog().BeginUpload("x", {}),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/x")));
}

TEST_F(DatasetCatalogTest, ListsEveryDatasetOnceWhileOthersAreMade) {
  for (const char* id : {"b", "d", "f"}) Create(id);
  auto first = catalog().ListDatasets({2, "", ""});
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[1].name(), "datasets/d");
  Create("a");
  Create("e");

  auto second = catalog().ListDatasets({2, first->next_page_token, ""});

  ASSERT_EQ(second->items.size(), 2u);
  EXPECT_EQ(second->items[0].name(), "datasets/e");
  EXPECT_EQ(second->items[1].name(), "datasets/f");
  EXPECT_EQ(second->next_page_token, "");
  EXPECT_THAT(catalog().ListDatasets({-1, "", ""}),
              ReasonIs(Reason::kInvalidField, HasSubstr("page_size")));
}

TEST_F(DatasetCatalogTest, APinHoldsWhatIsThereNow) {
  Create("d");
  EXPECT_THAT(catalog().Pin("d"),
              ReasonIs(Reason::kIllegalState, HasSubstr("no rows")));
  ASSERT_OK(catalog().AppendExamples("d", MakeAppend({"a", "b"}, "test")));

  auto rows = catalog().Pin("d");
  ASSERT_OK(catalog().AppendExamples("d", MakeAppend({"c"})));

  EXPECT_EQ(rows->snapshot.dataset(), "datasets/d");
  EXPECT_EQ(rows->snapshot.num_rows(), 2);
  EXPECT_THAT(rows->split_rows, ElementsAre(Pair("test", 2)));
  SnapshotReader reader(*state_.database,
                        {rows->dataset_number, 0, rows->snapshot.num_rows(),
                         rows->snapshot.digest()});
  EXPECT_EQ(reader.Next()->size(), 2u);
  EXPECT_TRUE(reader.Next()->empty());
}

TEST_F(DatasetCatalogTest, ADatasetInUseCannotBeDeleted) {
  Create("d");
  ASSERT_OK(catalog().AppendExamples("d", MakeAppend({"a"})));
  ASSERT_OK(state_.jobs->CreateJob(MakeCreateRequest("j"),
                                   catalog().Pin("d").value()));

  EXPECT_THAT(catalog().DeleteDataset("d"),
              ReasonIs(Reason::kResourceInUse, HasSubstr("cancel it")));

  ASSERT_OK(state_.jobs->CancelJob("j"));
  EXPECT_OK(catalog().DeleteDataset("d"));
}

TEST(PinInlineRows, MakesASnapshotOfItsOwn) {
  v1::InlineRows rows;
  (*rows.add_rows()->mutable_fields())["split"].set_string_value("dev");
  (*rows.add_rows()->mutable_fields())["a"].set_number_value(1);

  auto pinned = PinInlineRows(rows, "spec.data.inline.rows");

  ASSERT_OK(pinned);
  EXPECT_EQ(pinned->dataset_number, 0);
  EXPECT_EQ(pinned->snapshot.dataset(), "");
  EXPECT_EQ(pinned->snapshot.num_rows(), 2);
  EXPECT_THAT(pinned->inline_rows,
              ElementsAre(R"({"split":"validation"})", R"({"a":1})"));
  EXPECT_EQ(pinned->snapshot.digest(), DigestOf(pinned->inline_rows));
  EXPECT_THAT(pinned->split_rows,
              ElementsAre(Pair("", 1), Pair("validation", 1)));
}

TEST(PinInlineRows, NamesTheRowThatIsWrong) {
  v1::InlineRows rows;
  rows.add_rows();
  (*rows.add_rows()->mutable_fields())["split"].set_string_value("eval");

  EXPECT_THAT(PinInlineRows(rows, "spec.data.inline.rows"),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("spec.data.inline.rows[1]"),
                             HasSubstr("\"eval\""))));
  EXPECT_THAT(PinInlineRows({}, "r"),
              ReasonIs(Reason::kInvalidField, HasSubstr("at least one")));
}

}  // namespace
}  // namespace attune::server
