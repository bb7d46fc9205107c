#include "client/commands/rows.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using testing::StartsWith;

TEST(ParseRows, ReadsAnObjectALine) {
  const auto rows =
      ParseRows("{\"text\":\"a\"}\r\n\n  {\"n\": 1.5, \"l\": [true]}", "f");

  ASSERT_OK(rows);
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].fields().at("text").string_value(), "a");
  EXPECT_EQ((*rows)[1].fields().at("n").number_value(), 1.5);
}

TEST(ParseRows, NamesTheLineThatIsWrong) {
  EXPECT_THAT(ParseRows("{}\n[1]\n", "rows.jsonl"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "rows.jsonl:2: is not a JSON object in UTF-8"));
  EXPECT_THAT(ParseRows("{}\n\n{\"a\": }\n", "rows.jsonl"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("rows.jsonl:3: is not a JSON")));
  EXPECT_THAT(ParseRows("{\"a\": \"\xFF\"}", "rows.jsonl"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("rows.jsonl:1: ")));
}

TEST(ParseRows, SurvivesDeepNesting) {
  std::string row = "{\"a\":";
  row += std::string(100000, '[');

  EXPECT_THAT(ParseRows(row, "f"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            StartsWith("f:1: ")));
}

TEST(RowOfFields, KeepsValuesAsText) {
  const auto row = RowOfFields({"text=a=b", "n=5", "empty="});

  ASSERT_OK(row);
  EXPECT_EQ(row->fields().at("text").string_value(), "a=b");
  EXPECT_EQ(row->fields().at("n").string_value(), "5");
  EXPECT_EQ(row->fields().at("empty").string_value(), "");
}

TEST(RowOfFields, RefusesWhatIsNoPair) {
  EXPECT_THAT(RowOfFields({"text"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--field 'text': write it like text=\"Hello\""));
  EXPECT_THAT(
      RowOfFields({"a=1", "a=2"}),
      StatusIs(absl::StatusCode::kInvalidArgument, "--field 'a' comes twice"));
}

TEST(Summary, IsTheOnlyFieldOrAll) {
  EXPECT_EQ(Summary(RowOf("text", "Hello")), "Hello");
  EXPECT_EQ(Summary(*RowOfFields({"b=2", "a=1"})), "a=1 b=2");
  EXPECT_EQ(Summary(ParseRows("{\"n\": 5}", "f")->front()), "5");
}

}  // namespace
}  // namespace attune::client
