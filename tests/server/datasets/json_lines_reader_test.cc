#include "server/datasets/json_lines_reader.h"

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

absl::StatusOr<std::vector<std::string>> ReadJsonLines(
    const std::string& file, const std::string& split = "") {
  return ReadFile(v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_LINES, file,
                  split);
}

TEST(JsonLinesReader, ReadsAnObjectALine) {
  EXPECT_THAT(
      ReadJsonLines("\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"b\":\"\xC3\xA9\"}\n"
                    "{\"c\":[]}")
          .value(),
      ElementsAre("1 {\"a\":1}", "4 {\"b\":\"\xC3\xA9\"}", "5 {\"c\":[]}"));
}

TEST(JsonLinesReader, TheLastLineMayEndOrNot) {
  EXPECT_THAT(ReadJsonLines("{}\n").value(), ElementsAre("1 {}"));
  EXPECT_THAT(ReadJsonLines("{}").value(), ElementsAre("1 {}"));
  EXPECT_THAT(ReadJsonLines("").value(), ElementsAre());
}

TEST(JsonLinesReader, GivesRowsTheDefaultSplit) {
  EXPECT_THAT(ReadJsonLines("{}\n{\"split\":\"test\"}\n", "train").value(),
              ElementsAre("1 {\"split\":\"train\"}", "2 {\"split\":\"test\"}"));
}

TEST(JsonLinesReader, NamesTheLineThatIsWrong) {
  EXPECT_THAT(ReadJsonLines("{}\n\n[]\n{}\n"),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 3"), HasSubstr("object"))));
  EXPECT_THAT(ReadJsonLines("{}\n{\"a\":\"\xff\"}\n"),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 2"), HasSubstr("UTF-8"))));
  EXPECT_THAT(ReadJsonLines("{}\n{\"split\":\"x\"}"),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 2"), HasSubstr("split"))));
  EXPECT_THAT(ReadJsonLines("{\n}\n"),
              ReasonIs(Reason::kInvalidData, HasSubstr("line 1")));
}

TEST(JsonLinesReader, ARowsErrorSaysThatNothingIsStored) {
  EXPECT_THAT(ReadJsonLines("x"), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("nothing was stored")));
}

TEST(JsonLinesReader, WhatFollowsANulByteIsNotDropped) {
  EXPECT_THAT(ReadJsonLines(std::string("{}\0{oops}\n", 10)),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 1"), HasSubstr("NUL"))));
}

TEST(JsonLinesReader, ALongBlankLineIsRefused) {
  EXPECT_THAT(
      ReadJsonLines("{}\n" + std::string(kMaxRowBytes + 1, ' ') + "\n{}"),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("line 2"), HasSubstr("262144"))));
}

TEST(JsonLinesReader, TheLongestRowFitsWithItsLineEnd) {
  const std::string row =
      Concat("{\"a\":\"", std::string(kMaxRowBytes - 8, 'x'), "\"}");

  EXPECT_THAT(ReadJsonLines("\xEF\xBB\xBF" + row + "\r\n{}\n").value(),
              ElementsAre("1 " + row, "2 {}"));
}

}  // namespace
}  // namespace attune::server
