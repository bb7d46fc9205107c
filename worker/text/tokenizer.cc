#include "worker/text/tokenizer.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/text.h"
#include "worker/text/attune_text.h"
#include "worker/text/rust_buffer.h"

namespace attune::worker {

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
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        Concat("text of ", text.size(), " bytes is longer than the ",
               kMaxTextBytes, " that can be tokenised"));
  }
  AttuneEncoding raw = {};
  RustBuffer error;
  if (!attune_tokenizer_encode(handle_, RustBytes(text), text.size(),
                               add_special_tokens, &raw, error.out())) {
    return absl::InvalidArgumentError(ToAbsl(error.view()));
  }
  Encoding encoding;
  encoding.ids.assign(raw.ids, raw.ids + raw.size);
  encoding.offsets.reserve(raw.size);
  for (size_t i = 0; i < raw.size; ++i) {
    encoding.offsets.push_back({raw.begins[i], raw.ends[i]});
  }
  attune_encoding_free(raw);
  return encoding;
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
