#include "server/datasets/row_format.h"

#include <cmath>
#include <limits>
#include <string>

#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::HasSubstr;

// The canonical form of a text; the error's message if there is none.
std::string Canonical(std::string_view text) {
  absl::StatusOr<Row> row = ParseRow(text, "");
  return row.ok() ? row->json : std::string(row.status().message());
}

// An object whose deepest level is `depth`.
std::string Nested(int depth) {
  std::string text = "1";
  for (int i = 1; i < depth; ++i) text = Concat("[", text, "]");
  return Concat("{\"a\":", text, "}");
}

google::protobuf::Struct ToStruct(const std::string& json) {
  google::protobuf::Struct fields;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &fields).ok());
  return fields;
}

TEST(ParseRow, SortsKeysAndDropsSpaces) {
  EXPECT_EQ(Canonical(" { \"b\" : 1 , \"a\" : [ true , null ] } "),
            R"({"a":[true,null],"b":1})");
  EXPECT_EQ(Canonical("{\"t\": \"line\\nbreak \\u00e9\"}"),
            "{\"t\":\"line\\nbreak \xC3\xA9\"}");
  EXPECT_EQ(Canonical("{}"), "{}");
}

TEST(ParseRow, KeepsNumbersAsTheyAre) {
  EXPECT_EQ(Canonical(R"({"a":1,"b":1.0,"c":-2.5,"d":9007199254740993})"),
            R"({"a":1,"b":1.0,"c":-2.5,"d":9007199254740993})");
}

TEST(ParseRow, SaysWhatIsWrong) {
  EXPECT_THAT(Canonical(""), HasSubstr("not a JSON object"));
  EXPECT_THAT(Canonical("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Canonical("\"text\""), HasSubstr("not a JSON object"));
  EXPECT_THAT(Canonical("7"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Canonical("{\"a\":1"), HasSubstr("is not JSON"));
  EXPECT_THAT(Canonical("{\"a\":1} x"), HasSubstr("is not JSON"));
  EXPECT_THAT(Canonical("{\"a\":NaN}"), HasSubstr("is not JSON"));
  EXPECT_THAT(Canonical("{\"a\":1e999}"), HasSubstr("is not JSON"));
  EXPECT_THAT(Canonical("{\"a\":1,\"a\":2}"), HasSubstr("key \"a\" twice"));
  EXPECT_THAT(Canonical("{\"x\":{\"a\":1,\"a\":2}}"),
              HasSubstr("key \"a\" twice"));
}

TEST(ParseRow, NamesTheByteOfASyntaxError) {
  EXPECT_THAT(Canonical("{\n\"a\": oops}"),
              HasSubstr("is not JSON at byte 8: syntax error"));
}

TEST(ParseRow, ANulByteDoesNotEndTheText) {
  EXPECT_THAT(Canonical(std::string("{}\0x", 4)), HasSubstr("NUL byte"));
  EXPECT_EQ(Canonical("{\"a\":\"\\u0000\"}"), "{\"a\":\"\\u0000\"}");
}

TEST(ParseRow, TheSameKeyInTwoObjectsIsFine) {
  EXPECT_EQ(Canonical(R"({"x":{"a":1},"y":{"a":2}})"),
            R"({"x":{"a":1},"y":{"a":2}})");
}

TEST(ParseRow, InvalidUtf8IsNamed) {
  for (const char* text : {"{\"a\":\"\xff\"}", "{\"a\":\"\xc3(\"}",
                           "{\"a\":\"\xed\xa0\x80\"}", "{\"\xfe\":1}"}) {
    EXPECT_THAT(Canonical(text), HasSubstr("UTF-8"));
    EXPECT_THAT(ParseRow(text, ""),
                ReasonIs(Reason::kInvalidData, HasSubstr("UTF-8")));
  }
}

TEST(ParseRow, NestingIsLimitedTo64) {
  EXPECT_EQ(Canonical(Nested(64)), Nested(64));
  EXPECT_THAT(Canonical(Nested(65)), HasSubstr("deeper than 64"));
  // No stack grows with the depth.
  EXPECT_THAT(Canonical(Concat("{\"a\":", std::string(100'000, '['))),
              HasSubstr("deeper than 64"));
}

TEST(ParseRow, LengthIsLimited) {
  std::string longest =
      Concat("{\"a\":\"", std::string(kMaxRowBytes - 8, 'x'), "\"}");
  ASSERT_EQ(static_cast<int64_t>(longest.size()), kMaxRowBytes);

  EXPECT_EQ(Canonical(longest), longest);
  EXPECT_THAT(Canonical(longest + " "), HasSubstr("262145 bytes"));
}

TEST(ParseRow, SplitsAreMadeCanonical) {
  auto row = ParseRow(R"({"split":"dev","a":1})", "");
  EXPECT_EQ(row->split, "validation");
  EXPECT_EQ(row->json, R"({"a":1,"split":"validation"})");
  EXPECT_EQ(ParseRow(R"({"split":"test"})", "train")->split, "test");
  EXPECT_EQ(ParseRow(R"({"a":1})", "")->split, "");
  EXPECT_EQ(ParseRow(R"({"split":"","a":1})", "")->json, R"({"a":1})");
}

TEST(ParseRow, ADefaultSplitIsWrittenIntoTheRow) {
  auto row = ParseRow(R"({"a":1})", "train");

  EXPECT_EQ(row->split, "train");
  EXPECT_EQ(row->json, R"({"a":1,"split":"train"})");
}

TEST(ParseRow, OtherSplitsAreRefused) {
  EXPECT_THAT(Canonical(R"({"split":"Train"})"), HasSubstr("\"Train\""));
  EXPECT_THAT(Canonical(R"({"split":3})"), HasSubstr("not a string"));
}

TEST(ParseRow, ARequestsRowHasTheSameForm) {
  const std::string json = R"({"a":[1,-2,0.5,true,null,"x"],"b":{"c":""}})";

  EXPECT_EQ(ParseRow(ToStruct(json), "")->json, json);
  EXPECT_EQ(ParseRow(ToStruct(R"({"split":"dev"})"), "")->split, "validation");
}

TEST(ParseRow, WholeNumbersOfARequestAreIntegers) {
  EXPECT_EQ(ParseRow(ToStruct(R"({"a":3.0,"b":9007199254740992})"), "")->json,
            R"({"a":3,"b":9007199254740992})");
  EXPECT_EQ(ParseRow(ToStruct(R"({"a":1e300})"), "")->json, R"({"a":1e+300})");
}

TEST(ParseRow, ARequestsRowIsCheckedToo) {
  google::protobuf::Struct fields;
  auto& value = (*fields.mutable_fields())["a"];
  value.set_number_value(std::nan(""));
  EXPECT_THAT(ParseRow(fields, ""),
              ReasonIs(Reason::kInvalidData, HasSubstr("not finite")));
  value.set_number_value(std::numeric_limits<double>::infinity());
  EXPECT_THAT(ParseRow(fields, ""),
              ReasonIs(Reason::kInvalidData, HasSubstr("not finite")));
  value.set_string_value(std::string(kMaxRowBytes, 'x'));
  EXPECT_THAT(ParseRow(fields, ""),
              ReasonIs(Reason::kInvalidData, HasSubstr("at most 262144")));
  value.set_string_value("x");
}

TEST(ParseRow, ARequestsNestingIsLimitedTo64) {
  google::protobuf::Struct fields;
  google::protobuf::Value* value = &(*fields.mutable_fields())["a"];
  for (int depth = 1; depth < 64; ++depth) {
    value = value->mutable_list_value()->add_values();
  }
  value->set_number_value(1);
  EXPECT_EQ(ParseRow(fields, "")->json, Nested(64));

  value->mutable_list_value()->add_values()->set_number_value(1);

  EXPECT_THAT(ParseRow(fields, ""),
              ReasonIs(Reason::kInvalidData, HasSubstr("deeper than 64")));
}

TEST(MakeRow, GivesAnObjectTheSameForm) {
  auto row = MakeRow({{"b", "x"}, {"a", {"1", "2"}}, {"split", "dev"}}, "");

  EXPECT_EQ(row->json, R"({"a":["1","2"],"b":"x","split":"validation"})");
  EXPECT_EQ(row->split, "validation");
  EXPECT_EQ(MakeRow({{"split", ""}}, "train")->split, "train");
}

TEST(MakeRow, ChecksTextAndLength) {
  EXPECT_THAT(MakeRow({{"a", "\xff"}}, ""),
              ReasonIs(Reason::kInvalidData, HasSubstr("UTF-8")));
  EXPECT_THAT(MakeRow({{"a", std::string(kMaxRowBytes, 'x')}}, ""),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("262152 bytes as JSON; at most 262144")));
}

TEST(IsUtf8, RefusesWhatIsNone) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("\xC3\xA9"));
  EXPECT_FALSE(IsUtf8("\xC3"));
  EXPECT_FALSE(IsUtf8("\xED\xA0\x80"));
}

TEST(CanonicalSplit, KnowsFourNames) {
  EXPECT_EQ(CanonicalSplit("dev").value(), "validation");
  EXPECT_EQ(CanonicalSplit("").value(), "");
  EXPECT_THAT(CanonicalSplit("eval"),
              ReasonIs(Reason::kInvalidData, HasSubstr("\"eval\"")));
}

}  // namespace
}  // namespace attune::server
