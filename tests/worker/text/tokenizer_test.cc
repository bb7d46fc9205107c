#include "worker/text/tokenizer.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ByteRange = Encoding::ByteRange;
using CharacterRange = Encoding::CharacterRange;

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::FromJson(TinyTokenizerJson());
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
  }

  std::vector<int64_t> Ids(std::string_view text) {
    return tokenizer_->Encode(text, /*add_special_tokens=*/false)->ids;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizerTest, KnowsItsVocabulary) {
  EXPECT_EQ(tokenizer_->vocab_size(), 300);
  EXPECT_EQ(tokenizer_->TokenToId("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer_->TokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer_->IdToToken(0), "<|endoftext|>");
  EXPECT_EQ(tokenizer_->IdToToken(300), std::nullopt);
  EXPECT_EQ(tokenizer_->IdToToken(-1), std::nullopt);
}

TEST_F(TokenizerTest, AppliesMergesInOrder) {
  const int64_t the = *tokenizer_->TokenToId("Ġthe");

  EXPECT_THAT(Ids(" the the"), ElementsAre(the, the));
}

TEST_F(TokenizerTest, OffsetsAreBytesOfTheText) {
  const auto encoding = tokenizer_->Encode("é the", false);

  ASSERT_OK(encoding);
  // Both bytes of é belong to the one character.
  EXPECT_THAT(encoding->offsets,
              ElementsAre(ByteRange{0, 2}, ByteRange{0, 2}, ByteRange{2, 6}));
}

TEST_F(TokenizerTest, OffsetsAreCharactersOfTheTextToo) {
  const auto encoding = tokenizer_->Encode("é世😀 the e\u0301", false);

  ASSERT_OK(encoding);
  EXPECT_THAT(encoding->characters,
              ElementsAre(CharacterRange{0, 1}, CharacterRange{0, 1},
                          CharacterRange{1, 2}, CharacterRange{1, 2},
                          CharacterRange{1, 2}, CharacterRange{2, 3},
                          CharacterRange{2, 3}, CharacterRange{2, 3},
                          CharacterRange{2, 3}, CharacterRange{3, 7},
                          CharacterRange{7, 8}, CharacterRange{8, 9},
                          CharacterRange{9, 10}, CharacterRange{9, 10}));
  EXPECT_EQ(encoding->offsets[8], (ByteRange{5, 9}));
  EXPECT_EQ(encoding->offsets[9], (ByteRange{9, 13}));
}

TEST_F(TokenizerTest, SpecialTokensInTheTextAreOneToken) {
  EXPECT_THAT(Ids("<|im_start|>"), ElementsAre(1));
}

TEST_F(TokenizerTest, DecodeUndoesEncode) {
  const std::string text = "  Grüße, 世界! 👩‍🚀\n\tthe end\x01";

  const auto decoded = tokenizer_->Decode(Ids(text), false);

  EXPECT_EQ(*decoded, text);
}

TEST_F(TokenizerTest, DecodeSkipsSpecialTokensOnRequest) {
  const std::vector<int64_t> ids = Ids("<|im_start|>a<|im_end|>");

  EXPECT_EQ(*tokenizer_->Decode(ids, /*skip_special_tokens=*/true), "a");
  EXPECT_EQ(*tokenizer_->Decode(ids, /*skip_special_tokens=*/false),
            "<|im_start|>a<|im_end|>");
}

TEST_F(TokenizerTest, EmptyTextHasNoTokens) {
  EXPECT_THAT(Ids(""), ElementsAre());
  EXPECT_EQ(*tokenizer_->Decode({}, false), "");
}

TEST_F(TokenizerTest, KeepsZeroBytes) {
  const std::string text("a\0b", 3);

  EXPECT_EQ(*tokenizer_->Decode(Ids(text), false), text);
}

TEST_F(TokenizerTest, APairKnowsWhichTextATokenCameFrom) {
  const auto pair = tokenizer_->EncodePair("the", "é the", false);

  ASSERT_OK(pair);
  std::vector<int64_t> ids = Ids("the");
  for (const int64_t id : Ids("é the")) ids.push_back(id);
  EXPECT_EQ(pair->ids, ids);
  const size_t first = Ids("the").size();
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(pair->sequences[i], i < first ? 0 : 1);
    EXPECT_EQ(pair->type_ids[i], i < first ? 0 : 1);
  }
  EXPECT_EQ(pair->offsets.front().begin, 0u);
  EXPECT_EQ(pair->offsets[first], (ByteRange{0, 2}));
  EXPECT_EQ(pair->offsets.back(), (ByteRange{2, 6}));
  EXPECT_EQ(pair->characters.back(), (CharacterRange{1, 5}));
}

TEST_F(TokenizerTest, AddedTokensBelongToNoText) {
  std::string json = TinyTokenizerJson();
  const std::string none = "\"post_processor\":null";
  ASSERT_NE(json.find(none), std::string::npos);
  json.replace(
      json.find(none), none.size(),
      R"("post_processor":{"type":"RobertaProcessing","sep":["<|im_end|>",2],)"
      R"("cls":["<|im_start|>",1],"trim_offsets":false,)"
      R"("add_prefix_space":false})");
  const auto tokenizer = Tokenizer::FromJson(json);
  ASSERT_OK(tokenizer);

  const auto pair = (*tokenizer)->EncodePair("a", "b", true);
  const auto single = (*tokenizer)->Encode("a", true);

  EXPECT_THAT(pair->sequences, ElementsAre(-1, 0, -1, -1, 1, -1));
  EXPECT_THAT(single->sequences, ElementsAre(-1, 0, -1));
  EXPECT_THAT(single->type_ids, ElementsAre(0, 0, 0));
}

TEST_F(TokenizerTest, PairsHaveTheLimitsOfTexts) {
  const std::string text(Tokenizer::kMaxTextBytes + 1, 'a');

  EXPECT_THAT(tokenizer_->EncodePair("a", text, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("longer than the 1048576")));
  EXPECT_THAT(tokenizer_->EncodePair("a", "\xff", false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("second text is not UTF-8")));
}

TEST_F(TokenizerTest, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(tokenizer_->Encode("ab\xff", false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not UTF-8: invalid byte at offset 2")));
}

TEST_F(TokenizerTest, RefusesTextBeyondTheLimit) {
  const std::string text(Tokenizer::kMaxTextBytes + 1, 'a');

  EXPECT_THAT(tokenizer_->Encode(text, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("longer than the 1048576")));
}

TEST_F(TokenizerTest, RefusesIdsThatAreNone) {
  const std::vector<int64_t> ids = {1, -5};

  EXPECT_THAT(tokenizer_->Decode(ids, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("-5 is not a token id")));
}

TEST_F(TokenizerTest, IdsWithoutATokenAddNothing) {
  const std::vector<int64_t> ids = {70'000, *tokenizer_->TokenToId("a")};

  EXPECT_EQ(*tokenizer_->Decode(ids, false), "a");
}

TEST_F(TokenizerTest, ThreadsShareOneInstance) {
  const std::vector<int64_t> expected = Ids("the positive giving");
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);

  for (int& count : equal) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        count += Ids("the positive giving") == expected ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(equal, ElementsAre(50, 50, 50, 50));
}

TEST(Tokenizer, RefusesJsonThatIsNoTokenizer) {
  EXPECT_THAT(Tokenizer::FromJson("{\"model\": 1}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a tokenizer.json")));
  EXPECT_THAT(
      Tokenizer::FromJson(""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer")));
}

TEST(Tokenizer, RefusesNestingWithoutEnd) {
  std::string json = TinyTokenizerJson();
  const std::string normalizer = "\"normalizer\":null";
  ASSERT_NE(json.find(normalizer), json.npos);
  std::string nested = "\"normalizer\":";
  for (int i = 0; i < 100'000; ++i) {
    nested += R"({"type":"Sequence","normalizers":[)";
  }
  json.replace(json.find(normalizer), normalizer.size(), nested);

  EXPECT_THAT(Tokenizer::FromJson(json),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("recursion limit")));
}

TEST(Tokenizer, RefusesMergesThatReferToNothing) {
  std::string json = TinyTokenizerJson();
  const std::string merges = "\"merges\":[";
  ASSERT_NE(json.find(merges), json.npos);
  json.insert(json.find(merges) + merges.size(), "[\"nothing\",\"there\"],");

  EXPECT_THAT(
      Tokenizer::FromJson(json),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nothing")));
}

// The tiny tokenizer with another value for a part that it has none of.
absl::Status WithPart(std::string_view part, std::string_view value) {
  std::string json = TinyTokenizerJson();
  const std::string none = Concat("\"", part, "\":null");
  const size_t place = json.find(none);
  EXPECT_NE(place, json.npos) << part;
  json.replace(place, none.size(), Concat("\"", part, "\":", value));
  return Tokenizer::FromJson(json).status();
}

auto IsBeyondALimit(const std::string& what) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
}

std::string Sequence(std::string_view step, int count) {
  std::string steps;
  for (int i = 0; i < count; ++i) steps += Concat(i == 0 ? "" : ",", step);
  return Concat(R"({"type":"Sequence","normalizers":[)", steps, "]}");
}

TEST(Tokenizer, RefusesReplacementsThatMakeATextManyTimesLonger) {
  const std::string doubled =
      R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  EXPECT_OK(WithPart("normalizer", Sequence(doubled, 3)));
  EXPECT_THAT(WithPart("normalizer", Sequence(doubled, 40)),
              IsBeyondALimit("normalizer: its replacements may make a text "
                             "more than 32 times longer"));
  EXPECT_THAT(WithPart("normalizer", Concat(R"({"type":"Prepend","prepend":")",
                                            std::string(100, 'a'), "\"}")),
              IsBeyondALimit("32 times longer"));
}

TEST(Tokenizer, RefusesStepsWithoutNumber) {
  EXPECT_THAT(WithPart("normalizer", Sequence(R"({"type":"NFC"})", 1000)),
              IsBeyondALimit("normalizer: more than 1000 values"));
}

TEST(Tokenizer, RefusesCharacterMapsThatLie) {
  const auto with_map = [](std::string_view map) {
    return WithPart("normalizer",
                    Concat(R"({"type":"Precompiled","precompiled_charsmap":")",
                           map, "\"}"));
  };
  EXPECT_OK(with_map("BAAAAAAAAABhAA=="));  // 4 bytes of trie, "a"
  EXPECT_THAT(with_map("////fw=="), IsBeyondALimit("its trie is longer"));
  EXPECT_THAT(with_map("AA=="), IsBeyondALimit("its trie is longer"));
  EXPECT_THAT(with_map("?"), IsBeyondALimit("precompiled_charsmap: Invalid"));
  // No trie and 92 bytes of 'a'.
  std::string long_map = "AAAAAGFh";
  for (int i = 0; i < 30; ++i) long_map += "YWFh";
  EXPECT_THAT(with_map(long_map),
              IsBeyondALimit("a text of 92 bytes is longer than 64"));
}

TEST(Tokenizer, RefusesWordsThatTakeForEver) {
  const std::string model =
      R"({"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":0},)";
  EXPECT_OK(Tokenizer::FromJson(model + R"("continuing_subword_prefix":"##",)"
                                        R"("max_input_chars_per_word":100}})"));
  EXPECT_THAT(
      Tokenizer::FromJson(model + R"("continuing_subword_prefix":"##",)"
                                  R"("max_input_chars_per_word":1000000}})"),
      IsBeyondALimit("max_input_chars_per_word = 1000000 is above 256"));
  EXPECT_THAT(
      Tokenizer::FromJson(Concat(model, R"("continuing_subword_prefix":")",
                                 std::string(65, '#'),
                                 R"(","max_input_chars_per_word":100}})")),
      IsBeyondALimit("continuing_subword_prefix of 65 bytes"));
}

TEST(Tokenizer, PaddingAndTruncationOfTheFileAreOff) {
  std::string json = TinyTokenizerJson();
  const std::string truncation = "\"truncation\":null";
  json.replace(json.find(truncation), truncation.size(),
               R"("truncation":{"direction":"Right","max_length":2,)"
               R"("strategy":"LongestFirst","stride":0})");

  const auto tokenizer = Tokenizer::FromJson(json);

  ASSERT_OK(tokenizer);
  EXPECT_EQ((*tokenizer)->Encode("xyzw", false)->ids.size(), 4u);
}

}  // namespace
}  // namespace attune::worker
