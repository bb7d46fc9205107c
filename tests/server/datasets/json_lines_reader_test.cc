#include "server/datasets/json_lines_reader.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// The rows of a file cut into chunks of `size` bytes.
absl::StatusOr<std::vector<std::string>> ReadCut(
    const std::string& file, size_t size, const std::string& split = "") {
  JsonLinesReader reader(split);
  std::vector<Row> rows;
  absl::Status status;
  for (size_t i = 0; i < file.size() && status.ok(); i += size) {
    status = reader.Read(file.substr(i, size), rows);
  }
  if (status.ok()) status = reader.Finish(rows);
  if (!status.ok()) return status;
  std::vector<std::string> texts;
  for (const Row& row : rows) texts.push_back(row.json);
  return texts;
}

TEST(JsonLinesReader, ReadsTheSameHoweverTheFileIsCut) {
  const std::string file =
      "\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"b\":\"\xC3\xA9\"}\n{\"c\":[]}";
  for (size_t size = 1; size <= file.size(); ++size) {
    EXPECT_THAT(ReadCut(file, size).value(),
                ElementsAre("{\"a\":1}", "{\"b\":\"\xC3\xA9\"}", "{\"c\":[]}"))
        << "chunks of " << size;
  }
}

TEST(JsonLinesReader, TheLastLineMayEndOrNot) {
  EXPECT_THAT(ReadCut("{}\n", 100).value(), ElementsAre("{}"));
  EXPECT_THAT(ReadCut("{}", 100).value(), ElementsAre("{}"));
  EXPECT_THAT(ReadCut("", 100).value(), ElementsAre());
}

TEST(JsonLinesReader, GivesRowsTheDefaultSplit) {
  EXPECT_THAT(ReadCut("{}\n{\"split\":\"test\"}\n", 5, "train").value(),
              ElementsAre("{\"split\":\"train\"}", "{\"split\":\"test\"}"));
}

TEST(JsonLinesReader, NamesTheLineThatIsWrong) {
  for (size_t size : {1, 7, 1000}) {
    EXPECT_THAT(ReadCut("{}\n\n[]\n{}\n", size),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 3"), HasSubstr("object"))));
    EXPECT_THAT(ReadCut("{}\n{\"a\":\"\xff\"}\n", size),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 2"), HasSubstr("UTF-8"))));
    EXPECT_THAT(ReadCut("{}\n{\"split\":\"x\"}", size),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 2"), HasSubstr("split"))));
    EXPECT_THAT(ReadCut("{\n}\n", size),
                ReasonIs(Reason::kInvalidData, HasSubstr("line 1")));
  }
}

TEST(JsonLinesReader, ARowsErrorSaysThatNothingIsStored) {
  EXPECT_THAT(ReadCut("x", 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("nothing was stored")));
}

TEST(JsonLinesReader, ALineWithoutEndIsRefusedBeforeItFillsTheMemory) {
  JsonLinesReader reader("");
  std::vector<Row> rows;
  const std::string chunk(1 << 20, 'x');

  EXPECT_THAT(reader.Read(chunk, rows),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 1"), HasSubstr("262144"))));
}

TEST(JsonLinesReader, ALongBlankLineIsRefusedHoweverTheFileIsCut) {
  const std::string file = "{}\n" + std::string(kMaxRowBytes + 1, ' ') + "\n{}";
  for (size_t size : {size_t{1000}, size_t{1} << 18, file.size()}) {
    EXPECT_THAT(ReadCut(file, size),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 2"), HasSubstr("262144"))))
        << "chunks of " << size;
  }
}

TEST(JsonLinesReader, TheLongestRowFitsWithItsLineEnd) {
  std::string row =
      Concat("{\"a\":\"", std::string(kMaxRowBytes - 8, 'x'), "\"}");

  EXPECT_THAT(ReadCut(row + "\r\n{}\n", 1 << 16).value(),
              ElementsAre(row, "{}"));
}

}  // namespace
}  // namespace attune::server
