#include "worker/models/sentencepiece_model.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using PieceType = SentencePieceModel::PieceType;
using Algorithm = SentencePieceModel::Algorithm;

// Field numbers of sentencepiece_model.proto, with their wire types.
constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << WireFormatLite::kTagTypeBits | type;
}
constexpr auto kBytes = WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
constexpr uint32_t kPieceTag = Tag(1, kBytes);
constexpr uint32_t kTrainerTag = Tag(2, kBytes);
constexpr uint32_t kNormalizerTag = Tag(3, kBytes);
constexpr uint32_t kPieceTextTag = Tag(1, kBytes);
constexpr uint32_t kPieceScoreTag = Tag(2, WireFormatLite::WIRETYPE_FIXED32);
constexpr uint32_t kPieceTypeTag = Tag(3, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kAlgorithmTag = Tag(3, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kCharsmapTag = Tag(2, kBytes);

// Calls `field(tag)` for every field up to the end of the stream or its
// limit; false as soon as it returns false or the bytes are no message.
template <typename Field>
bool ForEachField(CodedInputStream& stream, const Field& field) {
  while (true) {
    const uint32_t tag = stream.ReadTag();
    if (tag == 0) return stream.ConsumedEntireMessage();
    if (!field(tag)) return false;
  }
}

// The same for a message inside the message, whose length comes first.
template <typename Field>
bool ForEachFieldOfMessage(CodedInputStream& stream, const Field& field) {
  uint32_t size = 0;
  // The stream's outermost limit is the end of the bytes.
  if (!stream.ReadVarint32(&size) ||
      size > static_cast<uint32_t>(stream.BytesUntilLimit())) {
    return false;
  }
  const auto limit = stream.PushLimit(static_cast<int>(size));
  const bool ok = ForEachField(stream, field);
  stream.PopLimit(limit);
  return ok;
}

bool ReadText(CodedInputStream& stream, std::string& text) {
  uint32_t size = 0;
  return stream.ReadVarint32(&size) &&
         size <= static_cast<uint32_t>(stream.BytesUntilLimit()) &&
         stream.ReadString(&text, static_cast<int>(size));
}

template <typename Enum>
bool ReadEnum(CodedInputStream& stream, Enum last, Enum& value) {
  uint32_t number = 0;
  if (!stream.ReadVarint32(&number) || number < 1 ||
      number > static_cast<uint32_t>(last)) {
    return false;
  }
  value = static_cast<Enum>(number);
  return true;
}

bool ReadPiece(CodedInputStream& stream, SentencePieceModel::Piece& piece) {
  return ForEachFieldOfMessage(stream, [&](uint32_t tag) {
    if (tag == kPieceTextTag) return ReadText(stream, piece.text);
    if (tag == kPieceScoreTag) {
      uint32_t bits = 0;
      if (!stream.ReadLittleEndian32(&bits)) return false;
      piece.score = std::bit_cast<float>(bits);
      return std::isfinite(piece.score);
    }
    if (tag == kPieceTypeTag) {
      return ReadEnum(stream, PieceType::kByte, piece.type);
    }
    return WireFormatLite::SkipField(&stream, tag);
  });
}

bool ReadModel(CodedInputStream& stream, SentencePieceModel& model) {
  return ForEachField(stream, [&](uint32_t tag) {
    if (tag == kPieceTag) {
      return ReadPiece(stream, model.pieces.emplace_back());
    }
    if (tag == kTrainerTag) {
      return ForEachFieldOfMessage(stream, [&](uint32_t inner) {
        return inner == kAlgorithmTag
                   ? ReadEnum(stream, Algorithm::kCharacter, model.algorithm)
                   : WireFormatLite::SkipField(&stream, inner);
      });
    }
    if (tag == kNormalizerTag) {
      return ForEachFieldOfMessage(stream, [&](uint32_t inner) {
        return inner == kCharsmapTag
                   ? ReadText(stream, model.precompiled_charsmap)
                   : WireFormatLite::SkipField(&stream, inner);
      });
    }
    return WireFormatLite::SkipField(&stream, tag);
  });
}

}  // namespace

absl::StatusOr<SentencePieceModel> ParseSentencePieceModel(
    std::string_view bytes, std::string_view path) {
  SentencePieceModel model;
  if (bytes.size() <= static_cast<size_t>(std::numeric_limits<int>::max())) {
    CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                            static_cast<int>(bytes.size()));
    if (!ReadModel(stream, model)) {
      return CorruptFile(
          path, Concat("no sentencepiece model: wrong or cut off at byte ",
                       stream.CurrentPosition(), ", after ",
                       model.pieces.size(), " pieces"));
    }
  }
  if (model.pieces.empty()) {
    return CorruptFile(path, "no sentencepiece model: it has no pieces");
  }
  return model;
}

}  // namespace attune::worker
