#include "worker/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/text/attune_text.h"
#include "worker/text/rust_buffer.h"

namespace attune::worker {
namespace {

absl::Status CheckLength(std::string_view text) {
  if (text.size() <= Tokenizer::kMaxTextBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Concat("text of ", text.size(), " bytes is longer than the ",
             Tokenizer::kMaxTextBytes, " that can be tokenised"));
}

// Where the characters of a text begin, and at last where the text ends.
std::vector<size_t> CharacterStarts(std::string_view text) {
  std::vector<size_t> starts;
  starts.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    // Bytes 10xxxxxx continue a character.
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      starts.push_back(i);
    }
  }
  starts.push_back(text.size());
  return starts;
}

// Copies what the library returned and gives it back.
//
// The library counts characters: it cuts white space off a range by what the
// range is counted in, and bytes would be cut wrongly.
Encoding TakeEncoding(const AttuneEncoding& raw, std::string_view first,
                      std::string_view second) {
  const std::vector<size_t> starts[] = {CharacterStarts(first),
                                        CharacterStarts(second)};
  Encoding encoding;
  encoding.ids.assign(raw.ids, raw.ids + raw.size);
  encoding.type_ids.assign(raw.type_ids, raw.type_ids + raw.size);
  encoding.sequences.assign(raw.sequences, raw.sequences + raw.size);
  encoding.offsets.resize(raw.size);
  encoding.characters.resize(raw.size);
  for (size_t i = 0; i < raw.size; ++i) {
    const int sequence = encoding.sequences[i];
    if (sequence < 0) continue;
    const std::vector<size_t>& text = starts[sequence];
    // An empty range at the end may count bytes.
    const size_t begin = std::min(raw.begins[i], text.size() - 1);
    const size_t end = std::min(raw.ends[i], text.size() - 1);
    encoding.characters[i] = {begin, end};
    encoding.offsets[i] = {text[begin], text[end]};
  }
  attune_encoding_free(raw);
  return encoding;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromJson(
    std::string_view json) {
  void* handle = nullptr;
  RustBuffer error;
  if (!attune_tokenizer_new(RustBytes(json), json.size(), &handle,
                            error.out())) {
    return absl::InvalidArgumentError(
        Concat("not a tokenizer.json: ", error.view()));
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(
      handle, static_cast<int64_t>(attune_tokenizer_vocab_size(handle))));
}

Tokenizer::Tokenizer(void* handle, int64_t vocab_size)
    : handle_(handle), vocab_size_(vocab_size) {}

Tokenizer::~Tokenizer() { attune_tokenizer_free(handle_); }

absl::StatusOr<Encoding> Tokenizer::Encode(std::string_view text,
                                           bool add_special_tokens) const {
  ATTUNE_RETURN_IF_ERROR(CheckLength(text));
  AttuneEncoding raw = {};
  RustBuffer error;
  if (!attune_tokenizer_encode(handle_, RustBytes(text), text.size(),
                               add_special_tokens, &raw, error.out())) {
    return absl::InvalidArgumentError(ToAbsl(error.view()));
  }
  return TakeEncoding(raw, text, /*second=*/"");
}

absl::StatusOr<Encoding> Tokenizer::EncodePair(std::string_view first,
                                               std::string_view second,
                                               bool add_special_tokens) const {
  ATTUNE_RETURN_IF_ERROR(CheckLength(first));
  ATTUNE_RETURN_IF_ERROR(CheckLength(second));
  AttuneEncoding raw = {};
  RustBuffer error;
  if (!attune_tokenizer_encode_pair(handle_, RustBytes(first), first.size(),
                                    RustBytes(second), second.size(),
                                    add_special_tokens, &raw, error.out())) {
    return absl::InvalidArgumentError(ToAbsl(error.view()));
  }
  return TakeEncoding(raw, first, second);
}

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const int64_t> ids,
                                              bool skip_special_tokens) const {
  std::vector<uint32_t> narrow;
  narrow.reserve(ids.size());
  for (int64_t id : ids) {
    if (id < 0 || id > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(Concat(id, " is not a token id"));
    }
    narrow.push_back(static_cast<uint32_t>(id));
  }
  RustBuffer text;
  RustBuffer error;
  if (!attune_tokenizer_decode(handle_, narrow.data(), narrow.size(),
                               skip_special_tokens, text.out(), error.out())) {
    return absl::InvalidArgumentError(ToAbsl(error.view()));
  }
  return std::string(text.view());
}

std::optional<int64_t> Tokenizer::TokenToId(std::string_view token) const {
  const int64_t id =
      attune_tokenizer_token_to_id(handle_, RustBytes(token), token.size());
  if (id < 0) return std::nullopt;
  return id;
}

std::optional<std::string> Tokenizer::IdToToken(int64_t id) const {
  if (id < 0 || id > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  RustBuffer token;
  if (!attune_tokenizer_id_to_token(handle_, static_cast<uint32_t>(id),
                                    token.out())) {
    return std::nullopt;
  }
  return std::string(token.view());
}

}  // namespace attune::worker
