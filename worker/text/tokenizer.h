#ifndef ATTUNE_WORKER_TEXT_TOKENIZER_H_
#define ATTUNE_WORKER_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// Token ids of a text, or of two texts as one input, and for each where it came
// from.
struct Encoding {
  // Half-open range of its own text; empty for a token that was added.
  struct ByteRange {
    size_t begin = 0;
    size_t end = 0;
    friend bool operator==(const ByteRange&, const ByteRange&) = default;
  };
  // The same in characters: Unicode code points, as people who read JSON in
  // Python count them.
  struct CharacterRange {
    size_t begin = 0;
    size_t end = 0;
    friend bool operator==(const CharacterRange&,
                           const CharacterRange&) = default;
  };

  std::vector<int64_t> ids;
  // One of each per id:
  std::vector<ByteRange> offsets;
  std::vector<CharacterRange> characters;
  std::vector<int64_t> type_ids;  // what encoders call token_type_ids
  std::vector<int> sequences;     // 0: first text, 1: second, -1: added
};

// A Hugging Face tokenizer (tokenizer.json). Padding and truncation, which the
// file may ask for, are switched off. Const after construction: any number of
// threads may use one instance at once.
class Tokenizer {
 public:
  // Longest text that Encode accepts.
  static constexpr size_t kMaxTextBytes = size_t{1} << 20;

  // `json`: the bytes of a tokenizer.json. InvalidArgument if they are none.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromJson(
      std::string_view json);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // `add_special_tokens`: whether the post-processor adds what it adds, such
  // as a begin-of-sequence token. InvalidArgument for text that is not UTF-8
  // or longer than kMaxTextBytes.
  absl::StatusOr<Encoding> Encode(std::string_view text,
                                  bool add_special_tokens) const;

  // Two texts as one input, such as a question and the passage that answers
  // it. The same limits for each.
  absl::StatusOr<Encoding> EncodePair(std::string_view first,
                                      std::string_view second,
                                      bool add_special_tokens) const;

  // InvalidArgument for an id outside [0, 2^32). Ids without a token add
  // nothing. Bytes that are not UTF-8 come out as U+FFFD.
  absl::StatusOr<std::string> Decode(std::span<const int64_t> ids,
                                     bool skip_special_tokens) const;

  // Number of tokens, added ones included.
  int64_t vocab_size() const { return vocab_size_; }

  std::optional<int64_t> TokenToId(std::string_view token) const;

  // The token's text in the vocabulary's own spelling, e.g. "Ġthe".
  std::optional<std::string> IdToToken(int64_t id) const;

 private:
  Tokenizer(void* handle, int64_t vocab_size);

  void* const handle_;  // owned; lives in the Rust library
  const int64_t vocab_size_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TEXT_TOKENIZER_H_
