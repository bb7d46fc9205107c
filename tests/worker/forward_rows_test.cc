#include "worker/forward_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ForwardRows : public testing::Test {
 protected:
  ForwardRows() {
    rules_.model_dir = directory_.path();
    rules_.config.family = "bert";
    rules_.config.kind = ModelKind::kEncoder;
    rules_.config.vocab_size = 96;
    rules_.config.num_token_types = 2;
    rules_.config.context_length = 8;
    rules_.max_tokens = rules_.max_decoder_tokens = 8;
  }

  // Of a WordPiece tokenizer, as BERT has.
  void WriteVocabulary() {
    WriteBytes(directory_ / "vocab.txt",
               "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\neins\nzwei\n");
  }

  void UseEncoderDecoder(int64_t start_token) {
    rules_.config.kind = ModelKind::kEncoderDecoder;
    rules_.config.num_token_types = 0;
    rules_.config.decoder_start_token_id = start_token;
  }

  absl::StatusOr<std::vector<ForwardRow>> Read(std::string_view lines) {
    WriteBytes(directory_ / "rows.jsonl", lines);
    return ReadForwardRows(directory_ / "rows.jsonl", rules_);
  }

  void ExpectWrong(const std::string& line, const char* message) {
    const std::string right = "{\"input_ids\": [6]}\n";
    EXPECT_THAT(
        Read(Concat(right, line, "\n", right)),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("rows.jsonl line 2: "), HasSubstr(message))))
        << line;
  }

  TempDirectory directory_;
  ForwardRowRules rules_;
};

TEST_F(ForwardRows, TakesIdsAsTheyAre) {
  // No tokenizer is needed, and other fields do not count.
  const auto rows = Read(
      "{\"input_ids\": [0, 95], \"label\": {\"a\": [1]}}\n"
      "{\"input_ids\": [6, 6, 7], \"token_type_ids\": [0, 1, 1],"
      " \"text\": null}");

  ASSERT_OK(rows);
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_THAT((*rows)[0].input_ids, ElementsAre(0, 95));
  EXPECT_THAT((*rows)[0].token_types, IsEmpty());
  EXPECT_THAT((*rows)[0].decoder_input_ids, IsEmpty());
  EXPECT_THAT((*rows)[1].input_ids, ElementsAre(6, 6, 7));
  EXPECT_THAT((*rows)[1].token_types, ElementsAre(0, 1, 1));
}

TEST_F(ForwardRows, TokenisesTextsWithSpecialTokens) {
  WriteVocabulary();

  const auto rows =
      Read("{\"text\": \"eins\", \"text_pair\": \"zwei\"}\n{\"text\": \"\"}\n");

  ASSERT_OK(rows);
  EXPECT_THAT((*rows)[0].input_ids, ElementsAre(2, 5, 3, 6, 3));
  EXPECT_THAT((*rows)[0].token_types, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT((*rows)[1].input_ids, ElementsAre(2, 3));
}

TEST_F(ForwardRows, AModelWithoutTypesGetsNone) {
  WriteVocabulary();
  rules_.config.num_token_types = 0;

  const auto rows = Read("{\"text\": \"eins\", \"text_pair\": \"zwei\"}");

  ASSERT_OK(rows);
  EXPECT_THAT((*rows)[0].token_types, IsEmpty());
  ExpectWrong("{\"input_ids\": [6], \"token_type_ids\": [0]}",
              "which has no token types");
}

TEST_F(ForwardRows, ADecoderBeginsWithItsStartToken) {
  UseEncoderDecoder(/*start_token=*/3);

  const auto rows = Read(
      "{\"input_ids\": [6]}\n"
      "{\"input_ids\": [6], \"decoder_input_ids\": [4, 5]}\n");

  ASSERT_OK(rows);
  EXPECT_THAT((*rows)[0].decoder_input_ids, ElementsAre(3));
  EXPECT_THAT((*rows)[1].decoder_input_ids, ElementsAre(4, 5));
}

TEST_F(ForwardRows, NamesTheLineThatIsWrong) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"{\"input_ids\": [6, 96]}",
       "element 1 is 96; ids of this model are 0 to 95"},
      {"{\"input_ids\": [-1]}", "element 0 is -1"},
      {"{\"input_ids\": [18446744073709551615]}", "18446744073709551615"},
      {"{\"input_ids\": [6.0]}", "element 0 is 6.0"},
      {"{\"input_ids\": 6}", "no list of ids"},
      {"{\"input_ids\": []}", "has no tokens"},
      {"{\"input_ids\": [6], \"text\": \"a\"}", "either 'text' or"},
      {"{\"ids\": [6]}", "either 'text' or"},
      {"{\"input_ids\": [6], \"text_pair\": \"a\"}", "without 'text'"},
      {"{\"text\": 6}", "'text' is no text"},
      {"{\"input_ids\": [6], \"token_type_ids\": [2]}", "element 0 is 2"},
      {"{\"input_ids\": [6], \"token_type_ids\": [0, 1]}", "has 2 elements"},
      {"{\"input_ids\": [6], \"decoder_input_ids\": [6]}", "the kind encoder"},
      {"{\"input_ids\": [6,6,6,6,6,6,6,6,6]}",
       "the input has 9 tokens; the model's context is 8"},
      {"[]", "not a JSON object"},
      {"{", "JSON"},
      {"", "JSON"}};
  for (const auto& [line, message] : kWrong) ExpectWrong(line, message);
}

TEST_F(ForwardRows, NamesWhatIsWrongForADecoder) {
  UseEncoderDecoder(/*start_token=*/3);
  rules_.max_decoder_tokens = 2;  // of 8; a prefix takes the others

  ExpectWrong("{\"input_ids\": [6], \"decoder_input_ids\": []}", "is empty");
  ExpectWrong("{\"input_ids\": [6], \"decoder_input_ids\": [96]}",
              "'decoder_input_ids' element 0 is 96");
  ExpectWrong("{\"input_ids\": [6], \"decoder_input_ids\": [6, 6, 6]}",
              "'decoder_input_ids' has 3 tokens; the model's context is 8, of "
              "which the prompt takes 6");
}

TEST_F(ForwardRows, ADecoderWithoutAStartTokenNeedsIds) {
  UseEncoderDecoder(/*start_token=*/-1);

  EXPECT_THAT(Read("{\"input_ids\": [6]}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rows.jsonl line 1: "),
                             HasSubstr("'decoder_start_token_id'"))));
}

TEST_F(ForwardRows, ATokenizerWithMoreTokensThanTheModel) {
  WriteVocabulary();
  rules_.config.vocab_size = 6;

  EXPECT_THAT(Read("{\"text\": \"zwei\"}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the tokenizer gives the id 6")));
}

TEST_F(ForwardRows, NamesTheFile) {
  EXPECT_THAT(ReadForwardRows(directory_ / "none.jsonl", rules_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.jsonl")));
  EXPECT_THAT(Read(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr("rows.jsonl: "),
                                       HasSubstr("there are no rows"))));
}

}  // namespace
}  // namespace attune::worker
