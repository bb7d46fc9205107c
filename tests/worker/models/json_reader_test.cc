#include "worker/models/json_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

TEST(ParseJson, ReadsWhatIsWithinTheDepth) {
  const auto value = ParseJson(R"({"a": [1, {"b": 2}]})", /*max_depth=*/3);

  ASSERT_OK(value);
  EXPECT_EQ((*value)["a"][1]["b"], 2);
}

TEST(ParseJson, RefusesDeeperNesting) {
  EXPECT_THAT(ParseJson("[[[[1]]]]", /*max_depth=*/3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested deeper than 3")));
}

TEST(ParseJson, RefusesAKeyThatOccursTwice) {
  EXPECT_THAT(ParseJson(R"({"x": {"a": 1, "b": 2, "a": 3}})", 8),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("key 'a' occurs twice")));
}

TEST(ParseJson, StopsAtOnceWhereTheNestingIsTooDeep) {
  // Not a syntax error at the end of the text, which would have been read.
  EXPECT_THAT(ParseJson(std::string(16 << 20, '['), /*max_depth=*/3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested deeper than 3")));
}

TEST(ParseJson, ManyObjectsTakeNoMoreThanTheirLength) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{}";
  }

  const auto value = ParseJson(text + "}", /*max_depth=*/2);

  ASSERT_OK(value);
  EXPECT_EQ(value->size(), 200'000u);
}

TEST(ParseJson, TheSameKeyInTwoObjectsIsFine) {
  EXPECT_OK(ParseJson(R"([{"a": 1}, {"a": {"a": 2}}])", 8));
}

TEST(ParseJson, SaysWhereTheSyntaxIsWrong) {
  EXPECT_THAT(
      ParseJson("{\"a\": nope}", 8),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("column 8")));
}

TEST(ParseJson, CitesLittleOfALongToken) {
  const std::string token(1 << 20, 'x');
  for (const std::string& text :
       {"[\"" + token + "\" nope",
        "{\"" + token + "\":1,\"" + token + "\":2}"}) {
    const absl::Status status = ParseJson(text, 8).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("JSON")));
    EXPECT_LT(status.message().size(), 600u);
  }
}

TEST(ParseJson, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_THAT(ParseJson("[1e999]", 8),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1e999")));
}

TEST(ReadJsonFile, NamesTheCorruptFile) {
  const TempDirectory directory;
  WriteBytes(directory / "bad.json", "{");

  EXPECT_THAT(ReadJsonFile(directory / "bad.json", 100),
              ReasonIs(Reason::kCorruptModel, HasSubstr("bad.json")));
  EXPECT_THAT(ReadJsonFile(directory / "none.json", 100),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.json")));
}

TEST(ReadOptionalObject, IsEmptyWithoutAFile) {
  const TempDirectory directory;
  WriteBytes(directory / "list.json", "[]");
  WriteBytes(directory / "some.json", "{\"a\": 1}");

  EXPECT_EQ(*ReadOptionalObject(directory / "none.json", 100),
            nlohmann::json::object());
  EXPECT_EQ(ReadOptionalObject(directory / "some.json", 100)->at("a"), 1);
  EXPECT_THAT(ReadOptionalObject(directory / "list.json", 100),
              ReasonIs(Reason::kCorruptModel, HasSubstr("not an object")));
}

}  // namespace
}  // namespace attune::worker
