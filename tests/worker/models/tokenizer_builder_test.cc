#include "worker/models/tokenizer_builder.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kWords[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nä\n";

class TokenizerBuilder : public testing::Test {
 protected:
  void Write(const char* name, std::string_view text) {
    WriteBytes(directory_ / name, text);
  }

  // Copies a golden tokenizer's file.
  void CopyGolden(const char* name, const char* file) {
    Write(file, ReadBytes(Concat("tests/golden/tokenizers/", name, "/", file)));
  }

  absl::StatusOr<std::string> Build(std::string_view model_type) {
    const auto settings = ReadTokenizerSettings(directory_.path(), model_type);
    if (!settings.ok()) return settings.status();
    return BuildTokenizerJson(directory_.path(), *settings);
  }

  std::vector<int64_t> Ids(std::string_view model_type, std::string_view text) {
    return (*Tokenizer::FromJson(*Build(model_type)))->Encode(text, true)->ids;
  }

  TempDirectory directory_;
};

TEST_F(TokenizerBuilder, WordPieceIsLowercaseUnlessTheSettingsSayOtherwise) {
  Write("vocab.txt", kWords);
  EXPECT_THAT(Ids("bert", "AB Ä"), ElementsAre(2, 5, 6, 5, 3));

  Write("tokenizer_config.json",
        R"({"do_lower_case": true, "strip_accents": false})");
  EXPECT_THAT(Ids("bert", "AB Ä"), ElementsAre(2, 5, 6, 7, 3));

  Write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_THAT(Ids("bert", "AB ä"), ElementsAre(2, 1, 7, 3));
}

TEST_F(TokenizerBuilder, AddedTokensAreNumberedBehindTheVocabulary) {
  Write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  Write("merges.txt", "#version: 0.2\na b\n");
  Write("tokenizer_config.json", R"({"pad_token": "<pad>",
        "additional_special_tokens": ["<x>"]})");

  // <|endoftext|> has a role, so it comes before those that have none.
  EXPECT_THAT(Ids("gpt2", "ab<|endoftext|><pad><x>"), ElementsAre(2, 3, 4, 5));
}

TEST_F(TokenizerBuilder, NewIdsMayNotBeTakenAlready) {
  Write("vocab.json", R"({"a": 0, "b": 2})");
  Write("merges.txt", "");

  EXPECT_THAT(Build("gpt2"), ReasonIs(Reason::kCorruptModel,
                                      AllOf(HasSubstr("'<|endoftext|>'"),
                                            HasSubstr("id 2 of 'b'"))));
}

TEST_F(TokenizerBuilder, SentinelsAreCountedByTheSettings) {
  CopyGolden("t5", "spiece.model");
  Write("tokenizer_config.json", R"({"extra_ids": 2})");
  const std::vector<int64_t> ids = Ids("t5", "<extra_id_0><extra_id_1>");
  EXPECT_THAT(ids, ElementsAre(ids[1] + 1, ids[1], 1));

  Write("tokenizer_config.json", R"({"extra_ids": -2})");
  EXPECT_THAT(Build("t5"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'extra_ids'")));
}

TEST_F(TokenizerBuilder, NamesWhatIsMissing) {
  EXPECT_THAT(Build("bert"), StatusIs(absl::StatusCode::kNotFound,
                                      AllOf(HasSubstr(directory_.path()),
                                            HasSubstr("no vocab.txt"))));
  EXPECT_THAT(Build("xlm-roberta"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no sentencepiece.bpe.model")));
  Write("vocab.json", R"({"a": 0})");
  EXPECT_THAT(Build("gpt2"), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("no merges.txt")));
  EXPECT_THAT(Build("llama"), StatusIs(absl::StatusCode::kUnimplemented,
                                       HasSubstr("transformers writes one")));
}

TEST_F(TokenizerBuilder, NamesWhatIsCorrupt) {
  Write("vocab.txt", "a\nb\n");
  EXPECT_THAT(Build("bert"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'[UNK]'")));

  Write("vocab.txt", kWords);
  Write("tokenizer_config.json", R"({"cls_token": null})");
  EXPECT_THAT(Build("bert"), ReasonIs(Reason::kCorruptModel,
                                      HasSubstr("'cls_token' is empty")));

  Write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  EXPECT_THAT(Build("bert"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'do_lower_case'")));
}

TEST_F(TokenizerBuilder, NamesTheTokenThatASentencepieceFileRepeats) {
  CopyGolden("mt5", "spiece.model");
  // The file has a piece of this name already.
  Write("tokenizer_config.json", R"({"extra_ids": 1})");

  EXPECT_THAT(Build("mt5"), ReasonIs(Reason::kCorruptModel,
                                     AllOf(HasSubstr("spiece.model"),
                                           HasSubstr("'<extra_id_0>'"))));
}

TEST_F(TokenizerBuilder, AnXlmRobertaModelBeginsWithSpecialPieces) {
  // Pieces a, b, c and d, all normal.
  std::string bytes;
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    bytes += std::string("\x0a\x03\x0a\x01") + letter;
  }
  Write("sentencepiece.bpe.model", bytes);

  EXPECT_THAT(Build("xlm-roberta"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("piece 0, 'a'")));
}

TEST_F(TokenizerBuilder, ABpeModelOfSentencepieceIsRefusedWithTheRemedy) {
  Write("spiece.model",
        std::string("\x0a\x03\x0a\x01") + "a" + "\x12\x02\x18\x02");

  EXPECT_THAT(Build("t5"), StatusIs(absl::StatusCode::kUnimplemented,
                                    HasSubstr("not a unigram model")));
}

TEST_F(TokenizerBuilder, TextThatIsNotUtf8IsRefused) {
  // <unk> (type 2) and a piece of one byte that is no character.
  Write("spiece.model",
        std::string("\x0a\x05\x0a\x01u\x18\x02\x0a\x03\x0a\x01\xff"));

  EXPECT_THAT(Build("t5"), ReasonIs(Reason::kCorruptModel, HasSubstr("UTF-8")));
}

}  // namespace
}  // namespace attune::worker
