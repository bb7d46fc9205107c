#include "worker/tasks/input_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> WordsIn(const InputText& text) {
  std::vector<std::string> words;
  for (const InputWord& word : text.words) {
    words.emplace_back(text.TextOf(word));
  }
  return words;
}

// Tokens with these byte ranges; an empty range was added by the tokenizer.
Encoding TokensAt(const std::vector<Encoding::ByteRange>& ranges) {
  Encoding encoding;
  for (const Encoding::ByteRange& range : ranges) {
    encoding.ids.push_back(1);
    encoding.offsets.push_back(range);
    encoding.sequences.push_back(range.begin == range.end ? -1 : 0);
  }
  return encoding;
}

std::vector<int64_t> TokensOf(const std::vector<InputWord>& words) {
  std::vector<int64_t> tokens;
  for (const InputWord& word : words) tokens.push_back(word.token);
  return tokens;
}

TEST(ReadInputWords, JoinsAListBySpaces) {
  const auto read =
      ReadInputWords(json::parse(R"(["New York", "é", "!"])"), "tokens");

  ASSERT_OK(read);
  EXPECT_EQ(read->text, "New York é !");
  EXPECT_THAT(WordsIn(*read), ElementsAre("New York", "é", "!"));
}

TEST(ReadInputWords, SplitsATextAtWhiteSpaceAndKeepsIt) {
  const auto read = ReadInputWords(json("  In New\t York\n"), "text");

  ASSERT_OK(read);
  EXPECT_EQ(read->text, "  In New\t York\n");
  EXPECT_THAT(WordsIn(*read), ElementsAre("In", "New", "York"));
}

TEST(ReadInputWords, RefusesWhatIsNoWords) {
  for (const char* value : {"5", "[]", R"(" ")", R"(["a", ""])", R"(["a", 5])",
                            R"({"a": 1})", "null"}) {
    EXPECT_THAT(ReadInputWords(json::parse(value), "tokens"),
                ReasonIs(Reason::kInvalidData, HasSubstr("'tokens'")))
        << value;
  }
  EXPECT_THAT(ReadInputWords(json::parse(R"(["a", "b", ""])"), "tokens"),
              ReasonIs(Reason::kInvalidData, HasSubstr("word 3")));
}

TEST(ReadInputWords, RefusesMoreWordsThanAnAnswerNames) {
  std::string text;
  for (int i = 0; i < 16'384; ++i) text += "a ";
  EXPECT_OK(ReadInputWords(json(text), "tokens"));
  EXPECT_THAT(ReadInputWords(json(text + "a"), "tokens"),
              ReasonIs(Reason::kInvalidData, HasSubstr("16385 words")));
}

TEST(LocateTokens, TakesTheFirstTokenOfEachWord) {
  InputText text = *ReadInputWords(json("ab cde f"), "tokens");
  // [CLS] a b cd e f [SEP]
  const Encoding encoding =
      TokensAt({{0, 0}, {0, 1}, {1, 2}, {3, 5}, {5, 6}, {7, 8}, {0, 0}});

  EXPECT_EQ(LocateTokens(encoding, 0, 8, absl::MakeSpan(text.words)), 6);

  EXPECT_THAT(TokensOf(text.words), ElementsAre(1, 3, 5));
}

TEST(LocateTokens, TheTextMayStandInAnother) {
  InputText text = *ReadInputWords(json("ab c"), "tokens");
  // "Tag: ab c!", whose tokens bring the space before them along.
  const Encoding encoding = TokensAt({{0, 3}, {3, 4}, {4, 7}, {7, 9}, {9, 10}});

  EXPECT_EQ(LocateTokens(encoding, 5, 9, absl::MakeSpan(text.words)), 4);

  EXPECT_THAT(TokensOf(text.words), ElementsAre(2, 3));
}

TEST(LocateTokens, AWordThatIsNothingToTheTokenizerHasNone) {
  InputText text = *ReadInputWords(json("a # b"), "tokens");
  const Encoding encoding = TokensAt({{0, 1}, {4, 5}});

  LocateTokens(encoding, 0, 5, absl::MakeSpan(text.words));

  EXPECT_THAT(TokensOf(text.words), ElementsAre(0, -1, 1));
  EXPECT_EQ(CountWordsRead(text.words), 2);
}

TEST(LocateTokens, WordsBehindTheEndHaveNone) {
  InputText text = *ReadInputWords(json("a b c"), "tokens");
  const Encoding encoding = TokensAt({{0, 1}, {2, 3}, {3, 5}});

  LocateTokens(encoding, 0, 3, absl::MakeSpan(text.words));

  EXPECT_THAT(TokensOf(text.words), ElementsAre(0, 1, -1));
}

TEST(CountCharacters, CountsCodePoints) {
  EXPECT_EQ(CountCharacters("aé€😀b", 0), 0);
  EXPECT_EQ(CountCharacters("aé€😀b", 3), 2);
  EXPECT_EQ(CountCharacters("aé€😀b", 11), 5);
}

}  // namespace
}  // namespace attune::worker
