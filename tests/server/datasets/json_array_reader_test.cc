#include "server/datasets/json_array_reader.h"

#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/server/datasets/read_file.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<std::vector<std::string>> ReadArray(
    const std::string& file, const std::string& split = "") {
  return ReadFile(v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_ARRAY, file,
                  split);
}

TEST(JsonArrayReader, ReadsTheObjectsOfAnArray) {
  EXPECT_THAT(
      ReadArray("\xEF\xBB\xBF\r\n[ {\"a\" : 1},\n\n{\n\"b\":[{}],\n"
                "\"c\":\"\xC3\xA9\"}, {}\n]\n \n")
          .value(),
      ElementsAre("2 {\"a\":1}", "4 {\"b\":[{}],\"c\":\"\xC3\xA9\"}", "6 {}"));
  EXPECT_THAT(ReadArray("[{},{}]", "test").value(),
              ElementsAre("1 {\"split\":\"test\"}", "1 {\"split\":\"test\"}"));
}

TEST(JsonArrayReader, BracketsAndQuotesInTextsAreText) {
  EXPECT_THAT(
      ReadArray(R"([{"a":"}]"},{"b":"\"}"},{"c":"\\"},{"]":"{["}])").value(),
      ElementsAre(R"(1 {"a":"}]"})", R"(1 {"b":"\"}"})", R"(1 {"c":"\\"})",
                  R"(1 {"]":"{["})"));
}

TEST(JsonArrayReader, AnEmptyArrayOrFileHasNoRows) {
  EXPECT_THAT(ReadArray("[]").value(), ElementsAre());
  EXPECT_THAT(ReadArray("[\n]\n").value(), ElementsAre());
  EXPECT_THAT(ReadArray(" \n").value(), ElementsAre());
  EXPECT_THAT(ReadArray("").value(), ElementsAre());
}

TEST(JsonArrayReader, WhatIsNoArrayIsRefused) {
  for (const std::string file :
       {"\n{\"a\":1}\n{}", "\nnull", "\n\"[]\"", "\n\x01", "\n]"}) {
    EXPECT_THAT(ReadArray(file),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 2 does not begin a JSON array"),
                               HasSubstr("JSON Lines"))))
        << file;
  }
}

TEST(JsonArrayReader, ElementsMustBeObjects) {
  for (const std::string element : {"1", "\"{}\"", "null", "[]", "x"}) {
    EXPECT_THAT(
        ReadArray("[{},\n" + element + "]"),
        ReasonIs(Reason::kInvalidData,
                 HasSubstr("line 2 has an element that is not an object")))
        << element;
  }
}

TEST(JsonArrayReader, AWrongElementIsNamedByItsLine) {
  EXPECT_THAT(
      ReadArray("[\n{},\n{\n\"a\": oops}]"),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("line 3 begins an element that is not JSON at "
                               "byte 8: syntax error"),
                     HasSubstr("nothing was stored"))));
  EXPECT_THAT(ReadArray("[{\"a\":1,\"a\":2}]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("\"a\" twice")));
  EXPECT_THAT(ReadArray("[{\"a\":[}]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("is not JSON")));
  EXPECT_THAT(ReadArray("[{\"a\":\"\xff\"}]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("UTF-8")));
  EXPECT_THAT(ReadArray(std::string("[{\0}]", 5)),
              ReasonIs(Reason::kInvalidData, HasSubstr("NUL")));
  EXPECT_THAT(ReadArray("[" + std::string(100, '[')),
              ReasonIs(Reason::kInvalidData, HasSubstr("not an object")));
}

TEST(JsonArrayReader, CommasStandBetweenElementsOnly) {
  EXPECT_THAT(ReadArray("[{}\n{}]"),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("line 2 needs ',' or ']' after an element")));
  EXPECT_THAT(ReadArray("[{},\n]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("line 2 has a comma")));
  EXPECT_THAT(ReadArray("[,{}]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("not an object")));
}

TEST(JsonArrayReader, TheArrayMustEndAndNothingFollowsIt) {
  EXPECT_THAT(ReadArray("[{}]\n[{}]"),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("line 2 goes on after the end of the array")));
  EXPECT_THAT(ReadArray(std::string("[{}]\0", 5)),
              ReasonIs(Reason::kInvalidData, HasSubstr("line 1 goes on")));
  EXPECT_THAT(ReadArray("[{},\n{\"a\":\n\"x"),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("line 2 begins an element that does not")));
  for (const std::string file : {"\n[", "[{},\n", "[\n{}"}) {
    EXPECT_THAT(ReadArray(file), ReasonIs(Reason::kInvalidData,
                                          HasSubstr("line 2 is the last one")))
        << file;
  }
}

TEST(JsonArrayReader, AnElementIsAsLongAsARowAtMost) {
  const std::string row =
      Concat("{\"a\":\"", std::string(kMaxRowBytes - 8, 'x'), "\"}");

  EXPECT_THAT(ReadArray("[" + row + "]").value(), ElementsAre("1 " + row));
  EXPECT_THAT(ReadArray("[\n{ " + row.substr(1) + "]"),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("line 2 begins an element of more than "
                                 "262144 bytes")));
}

TEST(JsonArrayReader, AnElementWithoutEndIsRefusedBeforeItFillsTheMemory) {
  const std::string file = "[{\"a\":" + std::string(size_t{1} << 20, '[');

  EXPECT_THAT(ReadArray(file),
              ReasonIs(Reason::kInvalidData, HasSubstr("262144")));
}

}  // namespace
}  // namespace attune::server
