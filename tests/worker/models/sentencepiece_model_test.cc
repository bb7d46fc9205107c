#include "worker/models/sentencepiece_model.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using PieceType = SentencePieceModel::PieceType;

// A field of type bytes with its tag and length.
std::string Field(int number, const std::string& bytes) {
  std::string text(1, static_cast<char>(number << 3 | 2));
  text += static_cast<char>(bytes.size());
  return text + bytes;
}

const std::string kScoreOfOne("\x15\x00\x00\x80\x3f", 5);  // field 2, fixed32

absl::StatusOr<SentencePieceModel> Parse(std::string_view bytes) {
  return ParseSentencePieceModel(bytes, "x.model");
}

TEST(SentencePieceModel, ReadsPiecesTrainerAndNormalizer) {
  const auto model =
      Parse(Field(1, Field(1, "<unk>") + "\x18\x02") +
            Field(1, Field(1, "a") + kScoreOfOne) + Field(2, "\x18\x02") +
            Field(3, Field(1, "name") + Field(2, std::string("\0map", 4))) +
            Field(7, "unknown field"));

  ASSERT_OK(model);
  ASSERT_EQ(model->pieces.size(), 2u);
  EXPECT_EQ(model->pieces[0].text, "<unk>");
  EXPECT_EQ(model->pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(model->pieces[1].text, "a");
  EXPECT_EQ(model->pieces[1].score, 1.0f);
  EXPECT_EQ(model->pieces[1].type, PieceType::kNormal);
  EXPECT_EQ(model->algorithm, SentencePieceModel::Algorithm::kBpe);
  EXPECT_EQ(model->precompiled_charsmap, std::string("\0map", 4));
}

TEST(SentencePieceModel, ReadsAFileOfTheLibrary) {
  const auto model =
      Parse(ReadBytes("tests/golden/tokenizers/t5/spiece.model"));

  ASSERT_OK(model);
  EXPECT_EQ(model->pieces[2].text, "<unk>");
  EXPECT_EQ(model->pieces[2].type, PieceType::kUnknown);
  EXPECT_EQ(model->algorithm, SentencePieceModel::Algorithm::kUnigram);
  EXPECT_GT(model->precompiled_charsmap.size(), 100'000u);
}

TEST(SentencePieceModel, EveryCutIsFoundOrLeavesWholePieces) {
  const std::string bytes =
      ReadBytes("tests/golden/tokenizers/xlm_roberta/sentencepiece.bpe.model");
  const size_t num_pieces = Parse(bytes)->pieces.size();
  size_t num_refused = 0;

  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto model = Parse(std::string_view(bytes).substr(0, size));
    if (model.ok()) {
      EXPECT_LE(model->pieces.size(), num_pieces);
    } else {
      EXPECT_THAT(model, ReasonIs(Reason::kCorruptModel, HasSubstr("x.model")));
      ++num_refused;
    }
  }
  // Only a cut between two fields of the outermost message leaves a message.
  EXPECT_GT(num_refused, bytes.size() - num_pieces - 8);
}

TEST(SentencePieceModel, NamesThePlaceThatIsWrong) {
  const std::string piece = Field(1, Field(1, "a"));
  EXPECT_THAT(Parse(piece + "\x0a\x7f" + "abc"),
              ReasonIs(Reason::kCorruptModel,
                       AllOf(HasSubstr("byte 7"), HasSubstr("pieces"))));
  // A piece whose text is longer than the piece.
  EXPECT_THAT(Parse(Field(1,
                          "\x0a\x05"
                          "ab") +
                    piece),
              ReasonIs(Reason::kCorruptModel, HasSubstr("after 1 pieces")));
  // A score that is not a number.
  EXPECT_THAT(Parse(Field(1, std::string("\x15\x00\x00\xc0\x7f", 5))),
              ReasonIs(Reason::kCorruptModel, HasSubstr("after 1 pieces")));
  // A type that is none.
  EXPECT_THAT(Parse(Field(1, "\x18\x63")),
              ReasonIs(Reason::kCorruptModel, HasSubstr("after 1 pieces")));
  EXPECT_THAT(Parse(""),
              ReasonIs(Reason::kCorruptModel, HasSubstr("no pieces")));
  EXPECT_THAT(Parse("not a protobuf at all"),
              ReasonIs(Reason::kCorruptModel, HasSubstr("byte")));
}

}  // namespace
}  // namespace attune::worker
