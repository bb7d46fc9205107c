#include "server/datasets/conll_reader.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/server/datasets/read_file.h"

namespace attune::server {
namespace {

using testing::ElementsAre;

absl::StatusOr<std::vector<std::string>> ReadConll(
    const std::string& file, const std::string& split = "") {
  return ReadFile(v1::UploadExamplesHeader::UPLOAD_FORMAT_CONLL, file, split);
}

TEST(ConllReader, ASentenceIsARow) {
  EXPECT_THAT(
      ReadConll("\xEF\xBB\xBF-DOCSTART- -X- -X- O\r\n\r\nEU NNP B-NP B-ORG\r\n"
                "rejects VBZ B-VP O\r\n\r\n\n  \nPeter  NNP  B-NP  B-PER \n"
                "-DOCSTART- O\nR\xC3\xA9 X Y O")
          .value(),
      ElementsAre(R"(3 {"tags":["B-ORG","O"],"tokens":["EU","rejects"]})",
                  R"(8 {"tags":["B-PER"],"tokens":["Peter"]})",
                  "10 {\"tags\":[\"O\"],\"tokens\":[\"R\xC3\xA9\"]}"));
}

TEST(ConllReader, RowsGetTheSplitOfTheFile) {
  EXPECT_THAT(ReadConll("a O\n", "test").value(),
              ElementsAre(R"(1 {"split":"test","tags":["O"],"tokens":["a"]})"));
}

TEST(ConllReader, BetweenTabsSpacesAreText) {
  EXPECT_THAT(ReadConll("New York\t\tB-LOC\n is\tX\tO \n").value(),
              ElementsAre(R"(1 {"tags":["B-LOC","O"],)"
                          R"("tokens":["New York","is"]})"));
}

TEST(ConllReader, CommentsStandBeforeSentences) {
  EXPECT_THAT(ReadConll("# id 7a\tdomain=en\nParis _ _ B-LOC\n\n# id 8b\t"
                        "domain=en\nx _ _ O\n")
                  .value(),
              ElementsAre(R"(2 {"tags":["B-LOC"],"tokens":["Paris"]})",
                          R"(5 {"tags":["O"],"tokens":["x"]})"));
  EXPECT_THAT(ReadConll("# a comment\nx\tO\n\n# two\nx\tO\n").value(),
              ElementsAre(R"(2 {"tags":["O"],"tokens":["x"]})",
                          R"(5 {"tags":["O"],"tokens":["x"]})"));
  EXPECT_THAT(ReadConll("a O\n# not a comment\n"),
              RefusedWith("line 2 has 4 columns between spaces, and tokens "
                          "before it 2 between spaces"));
}

TEST(ConllReader, AHashMayBeAToken) {
  EXPECT_THAT(ReadConll("# O\n1 O\n\n# O\n").value(),
              ElementsAre(R"(1 {"tags":["O","O"],"tokens":["#","1"]})",
                          R"(4 {"tags":["O"],"tokens":["#"]})"));
}

TEST(ConllReader, AFileWithoutTokensHasNoRows) {
  EXPECT_THAT(ReadConll("").value(), ElementsAre());
  EXPECT_THAT(ReadConll("\n\n-DOCSTART- O\n\n# x y\n").value(), ElementsAre());
}

TEST(ConllReader, EveryLineHasAsManyColumns) {
  EXPECT_THAT(ReadConll("a X O\n\nb X Y O\n"),
              RefusedWith("line 3 has 4 columns between spaces, and tokens "
                          "before it 3 between spaces"));
  EXPECT_THAT(ReadConll("a X O\nb\tX\tO\n"),
              RefusedWith("line 2 has 3 columns between tabs, and tokens "
                          "before it 3 between spaces"));
}

TEST(ConllReader, AMissingTokenOrTagIsNamed) {
  EXPECT_THAT(ReadConll("a O\nb\n"),
              RefusedWith("line 2 has one column, so the tag is missing"));
  EXPECT_THAT(ReadConll("a\n"), RefusedWith("line 1 has one column"));
  EXPECT_THAT(ReadConll("a\tO\nb\t\n"),
              RefusedWith("line 2 has no tag in its last column"));
  EXPECT_THAT(ReadConll("a\tO\n\tO\n"),
              RefusedWith("line 2 has no token in its first column"));
}

TEST(ConllReader, WrongBytesAreNamed) {
  EXPECT_THAT(ReadConll("a O\n\nb O\ncaf\xe9 O\n"),
              RefusedWith("line 4 is not UTF-8"));
  EXPECT_THAT(ReadConll(std::string("a O\nb\0 O\n", 9)),
              RefusedWith("line 2 has a NUL byte"));
  EXPECT_THAT(ReadConll("a O\rb O\rc O"),
              RefusedWith("line 1 has a carriage return without a line feed"));
}

TEST(ConllReader, ASentenceIsAsLongAsARowAtMost) {
  std::string file = "a O\n\n";
  for (int i = 0; i < 70'000; ++i) file += "b O\n";

  EXPECT_THAT(ReadConll(file),
              RefusedWith("line 3 begins a sentence of more than 262144 "
                          "bytes; a blank line ends a sentence"));
  EXPECT_THAT(ReadConll(file.substr(0, 200'000)),
              RefusedWith("line 3 begins a sentence that has "));
}

}  // namespace
}  // namespace attune::server
