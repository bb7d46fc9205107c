#include "server/datasets/csv_reader.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/server/datasets/read_file.h"

namespace attune::server {
namespace {

using testing::ElementsAre;

using CsvRows = absl::StatusOr<std::vector<std::string>>;

CsvRows ReadCsv(const std::string& file, const std::string& split = "") {
  return ReadFile(v1::UploadExamplesHeader::UPLOAD_FORMAT_CSV, file, split);
}

CsvRows ReadTsv(const std::string& file) {
  return ReadFile(v1::UploadExamplesHeader::UPLOAD_FORMAT_TSV, file);
}

TEST(CsvReader, ReadsARowALine) {
  EXPECT_THAT(
      ReadCsv("\xEF\xBB\xBFtext,label\r\nhi,greeting\r\n\r\n a b ,\n,\"\"")
          .value(),
      ElementsAre(R"(2 {"label":"greeting","text":"hi"})",
                  R"(4 {"label":"","text":" a b "})",
                  R"(5 {"label":"","text":""})"));
}

TEST(CsvReader, QuotedCellsHoldAnything) {
  EXPECT_THAT(ReadCsv("a,\"b \"\"x\"\"\"\n\"1,2\",\"x \"\"y\"\"\"\n"
                      "\"line\nand\r\n\r\nlines\",\"\"\"\"\nlast,\"\n\"\n")
                  .value(),
              ElementsAre(R"(2 {"a":"1,2","b \"x\"":"x \"y\""})",
                          R"(3 {"a":"line\nand\r\n\r\nlines","b \"x\"":"\""})",
                          R"(7 {"a":"last","b \"x\"":"\n"})"));
}

TEST(CsvReader, ValuesStayTexts) {
  EXPECT_THAT(ReadCsv("a,b,c,d\n1,true,null,[]\n").value(),
              ElementsAre(R"(2 {"a":"1","b":"true","c":"null","d":"[]"})"));
}

TEST(CsvReader, TheColumnSplitNamesSplits) {
  EXPECT_THAT(ReadCsv("a,split\n1,dev\n2,\n", "train").value(),
              ElementsAre(R"(2 {"a":"1","split":"validation"})",
                          R"(3 {"a":"2","split":"train"})"));
  EXPECT_THAT(ReadCsv("a,split\n1,eval\n"),
              RefusedWith("line 2 has the split \"eval\""));
}

TEST(CsvReader, AFileOfOneColumnWritesItsEmptyCellsInQuotes) {
  EXPECT_THAT(ReadCsv("text\n\n\"\"\nx\n").value(),
              ElementsAre(R"(3 {"text":""})", R"(4 {"text":"x"})"));
}

TEST(CsvReader, AHeaderAloneOrAnEmptyFileHasNoRows) {
  EXPECT_THAT(ReadCsv("text,label\n").value(), ElementsAre());
  EXPECT_THAT(ReadCsv("").value(), ElementsAre());
  EXPECT_THAT(ReadCsv("\n\r\n").value(), ElementsAre());
}

TEST(CsvReader, TabsSeparateTsv) {
  EXPECT_THAT(ReadTsv("text\tlabel\na,b \"c\" d\tx\n\"a\tb\"\ty\n").value(),
              ElementsAre(R"(2 {"label":"x","text":"a,b \"c\" d"})",
                          R"(3 {"label":"y","text":"a\tb"})"));
  EXPECT_THAT(
      ReadTsv("a\tb\n1\t2\t3\n"),
      RefusedWith("line 2 has 3 cells for 2 columns; put a cell that holds "
                  "tabs into quotes"));
}

TEST(CsvReader, EveryRowHasACellForEachColumn) {
  EXPECT_THAT(ReadCsv("text,label,x\n\"a\nb\",c,d\nhi,greeting\n"),
              RefusedWith("line 4 has 2 cells for 3 columns; 'x' has none"));
  EXPECT_THAT(
      ReadCsv("text,label\nhi, you,greeting\n"),
      RefusedWith("line 2 has 3 cells for 2 columns; put a cell that holds "
                  "commas into quotes"));
}

TEST(CsvReader, TheHeaderNamesEachColumnOnce) {
  EXPECT_THAT(
      ReadCsv("a,,b\n"),
      RefusedWith("line 1 names the columns, and column 2 has no name"));
  EXPECT_THAT(ReadCsv("\na,b,a\n"), RefusedWith("line 2 names the columns, and "
                                                "column 3 'a' is there twice"));
  EXPECT_THAT(ReadCsv("a, b\n"),
              RefusedWith("line 1 names the columns, and column "
                          "2 ' b' begins or ends with white"));
  EXPECT_THAT(
      ReadCsv("a,\xff\n"),
      RefusedWith("line 1 names the columns, and column 2 is not UTF-8"));
  EXPECT_THAT(
      ReadCsv(std::string(300, 'a') + "\n"),
      RefusedWith("line 1 names the columns, and column 1 has a name of "
                  "300 bytes"));
}

TEST(CsvReader, AnotherSeparatorIsNoticed) {
  EXPECT_THAT(
      ReadCsv("text;label\n"),
      RefusedWith("line 1 names the one column 'text;label'; separate names by "
                  "commas"));
  EXPECT_THAT(ReadTsv("text,label\n"),
              RefusedWith("line 1 names the one column 'text,label'; separate "
                          "names by tabs"));
}

TEST(CsvReader, AQuoteMustEnd) {
  EXPECT_THAT(
      ReadCsv("a,b\n1,2\nx,\"y\n\n"),
      RefusedWith("line 3 begins a quote in column 'b' that does not end"));
  EXPECT_THAT(
      ReadCsv("a,\""),
      RefusedWith("line 1 begins a quote in column 2 that does not end"));
}

TEST(CsvReader, QuotesStandAroundWholeCells) {
  EXPECT_THAT(ReadCsv("a,b\n1,say \"hi\"\n"),
              RefusedWith("line 2 has a quote within column 'b'"));
  EXPECT_THAT(
      ReadCsv("a,b\n\"x\n\"y,2\n"),
      RefusedWith("line 3 has text after the closing quote of column 'a'"));
  EXPECT_THAT(
      ReadCsv("a,b\n1,\"x\" \n"),
      RefusedWith("line 2 has text after the closing quote of column 'b'"));
}

TEST(CsvReader, ALoneCarriageReturnEndsNoLine) {
  EXPECT_THAT(ReadCsv("a,b\r1,2\r"),
              RefusedWith("line 1 has a carriage return without a line feed in "
                          "column 2"));
}

TEST(CsvReader, WrongBytesAreNamed) {
  EXPECT_THAT(ReadCsv("a,b\n\"1\n\",caf\xe9\n"),
              RefusedWith("line 2 is not UTF-8 in column 'b'"));
  EXPECT_THAT(ReadCsv(std::string("a,b\n1,\0\n", 8)),
              RefusedWith("line 2 has a NUL byte"));
}

TEST(CsvReader, ARowIsAsLongAsAnyOther) {
  const std::string longest(kMaxRowBytes - 8, 'x');
  EXPECT_THAT(ReadCsv("a\n" + longest + "x\n"),
              RefusedWith("line 2 has 262145 bytes as JSON"));
  EXPECT_THAT(ReadCsv("a\n" + longest + "\n")->size(), 1);
  EXPECT_THAT(
      ReadCsv("a,b\n1,2\n3,\"\n" + longest + "\n" + longest),
      RefusedWith("line 3 begins a row of more than 262144 bytes; does the "
                  "quote of column 'b' in line 3 end"));
  EXPECT_THAT(ReadCsv("a\n\"" + std::string(kMaxRowBytes + 1, '\n')),
              RefusedWith("line 2 begins a row of more than 262144 bytes"));
}

}  // namespace
}  // namespace attune::server
