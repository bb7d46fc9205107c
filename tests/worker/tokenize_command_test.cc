#include "worker/tokenize_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A WordPiece model of a few words, without tokenizer.json.
class TokenizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    WriteBytes(directory_ / "config.json", R"({"model_type": "bert"})");
    WriteBytes(directory_ / "vocab.txt",
               "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nzwei\n##er\nä\n");
  }

  absl::Status Run(std::string_view rows, bool add_special_tokens = true) {
    WriteBytes(directory_ / "rows.jsonl", rows);
    return RunTokenize({.model_dir = directory_.path(),
                        .input_file = directory_ / "rows.jsonl",
                        .add_special_tokens = add_special_tokens},
                       out_);
  }

  TempDirectory directory_;
  std::ostringstream out_;
};

TEST_F(TokenizeCommand, PrintsALineForEachRow) {
  WriteBytes(directory_ / "tokenizer_config.json",
             R"({"strip_accents": false})");

  ASSERT_OK(
      Run("{\"text\": \"Ä zweier\", \"kind\": {\"a\": [1]}}\n"
          "{\"text\": \"\"}\n"));

  EXPECT_EQ(out_.str(),
            "{\"ids\":[2,7,5,6,3],"
            "\"offsets\":[[0,0],[0,1],[2,6],[6,8],[0,0]],"
            "\"tokens\":[\"[CLS]\",\"ä\",\"zwei\",\"##er\",\"[SEP]\"],"
            "\"type_ids\":[0,0,0,0,0]}\n"
            "{\"ids\":[2,3],\"offsets\":[[0,0],[0,0]],"
            "\"tokens\":[\"[CLS]\",\"[SEP]\"],\"type_ids\":[0,0]}\n");
}

TEST_F(TokenizeCommand, PairsHaveTypesAndOffsetsInTheirOwnText) {
  ASSERT_OK(Run(R"({"text": "zwei", "text_pair": " zwei"})"));

  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"ids\":[2,5,3,5,3]"),
                                HasSubstr("[[0,0],[0,4],[0,0],[1,5],[0,0]]"),
                                HasSubstr("\"type_ids\":[0,0,0,1,1]")));
}

TEST_F(TokenizeCommand, LeavesSpecialTokensOutOnRequest) {
  ASSERT_OK(Run(R"({"text": "zwei"})", /*add_special_tokens=*/false));

  EXPECT_THAT(out_.str(), HasSubstr("\"ids\":[5]"));
}

TEST_F(TokenizeCommand, NamesTheLineThatIsWrong) {
  const std::string right = "{\"text\": \"zwei\"}\n";
  for (const char* wrong :
       {"{\"text\": 5}", "[]", "{\"txt\": \"a\"}", "{", "",
        "{\"text\": \"a\", \"text_pair\": 1}", "{\"text\": \"\xff\"}"}) {
    EXPECT_THAT(Run(right + wrong + "\n" + right),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("rows.jsonl line 2: ")))
        << wrong;
  }
}

TEST_F(TokenizeCommand, NamesWhatCannotBeRead) {
  EXPECT_THAT(RunTokenize({.model_dir = directory_ / "none",
                           .input_file = directory_ / "rows.jsonl"},
                          out_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(RunTokenize({.model_dir = directory_.path(),
                           .input_file = directory_ / "no.jsonl"},
                          out_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no.jsonl")));
  WriteBytes(directory_ / "vocab.txt", "a\na\n");
  EXPECT_THAT(Run("{}"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("vocab.txt: line 2")));
}

}  // namespace
}  // namespace attune::worker
