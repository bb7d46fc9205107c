#include "worker/models/vocabulary_files.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class VocabularyFiles : public testing::Test {
 protected:
  absl::StatusOr<Vocabulary> Txt(std::string_view bytes) {
    WriteBytes(directory_ / "vocab.txt", bytes);
    return ReadVocabTxt(directory_ / "vocab.txt");
  }

  absl::StatusOr<Vocabulary> VocabJson(std::string_view bytes) {
    WriteBytes(directory_ / "vocab.json", bytes);
    return ReadVocabJson(directory_ / "vocab.json");
  }

  absl::StatusOr<MergePairs> Merges(std::string_view bytes) {
    const auto vocabulary = VocabJson(R"({"a": 0, "b": 1, "ab": 2, "é": 3})");
    WriteBytes(directory_ / "merges.txt", bytes);
    return ReadMergesTxt(directory_ / "merges.txt", *vocabulary);
  }

  TempDirectory directory_;
};

TEST_F(VocabularyFiles, ALinesNumberIsItsTokensId) {
  const auto vocabulary = Txt("[PAD]\na\r\n##é\u3000\nb c");

  ASSERT_OK(vocabulary);
  EXPECT_EQ(vocabulary->size(), 4u);
  EXPECT_EQ(vocabulary->Find("[PAD]"), 0);
  EXPECT_EQ(vocabulary->Find("a"), 1);
  EXPECT_EQ(vocabulary->Find("##é"), 2);
  EXPECT_EQ(vocabulary->Find("b c"), 3);
  EXPECT_EQ(vocabulary->Find("b"), -1);
}

TEST_F(VocabularyFiles, EmptyLinesTakeIds) {
  const auto vocabulary = Txt("a\n\n\u00a0\nb\n");

  ASSERT_OK(vocabulary);
  EXPECT_EQ(vocabulary->Find("b"), 3);
  EXPECT_EQ(vocabulary->size(), 3u);
}

TEST_F(VocabularyFiles, WordListsNameTheLineThatIsWrong) {
  EXPECT_THAT(Txt("a\nb\na\n"),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr("vocab.txt: line 3"),
                             HasSubstr("'a' is also in line 1"))));
  EXPECT_THAT(Txt("a\n\xff\n"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("line 2: it is not")));
  EXPECT_THAT(Txt("\n\n"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("no tokens")));
}

TEST_F(VocabularyFiles, VocabulariesNameTheTokenThatIsWrong) {
  EXPECT_THAT(VocabJson(R"({"a": 1, "b": "2"})"),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr("vocab.json"), HasSubstr("'b'"))));
  EXPECT_THAT(VocabJson(R"({"a": -1})"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("-1")));
  EXPECT_THAT(VocabJson(R"({"a": 1e30})"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'a'")));
  EXPECT_THAT(VocabJson(R"({"a": 7, "b": 7})"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("both have the id 7")));
  EXPECT_THAT(VocabJson("[1]"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("not an object")));
  EXPECT_THAT(VocabJson(R"({"a": 1, "a": 2})"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("occurs twice")));
}

TEST_F(VocabularyFiles, MergesAreInTheOrderOfTheLines) {
  const auto merges = Merges("#version: 0.2\na b\r\n");

  ASSERT_OK(merges);
  EXPECT_THAT(*merges, ElementsAre(Pair("a", "b")));
}

TEST_F(VocabularyFiles, MergesNameTheLineThatIsWrong) {
  EXPECT_THAT(Merges("#version: 0.2\na b\na x\n"),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr("merges.txt: line 3"),
                             HasSubstr("'x' is not in the vocabulary"))));
  EXPECT_THAT(Merges("b a\n"),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("line 1: 'ba' is not in the vocabulary")));
  EXPECT_THAT(Merges("a b c\n"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("line 1: not two")));
  EXPECT_THAT(Merges("ab\n"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("line 1: not two")));
  EXPECT_THAT(Merges("a \xc3\n"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("not UTF-8")));
}

TEST_F(VocabularyFiles, MissingFilesAreNotFound) {
  EXPECT_THAT(ReadVocabTxt(directory_ / "none.txt"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.txt")));
}

}  // namespace
}  // namespace attune::worker
