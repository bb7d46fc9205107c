#ifndef ATTUNE_WORKER_TASKS_INPUT_WORDS_H_
#define ATTUNE_WORKER_TASKS_INPUT_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// A word of a token classification's input.
struct InputWord {
  // Place of its first token among the input's; -1 if the input was cut before
  // it, or if it is nothing to the tokenizer.
  int64_t token = -1;
  // [begin, end) in the words' text: bytes.
  size_t begin = 0;
  size_t end = 0;
};

// Words and the text they stand in.
struct InputText {
  std::string text;
  std::vector<InputWord> words;  // at least one; without tokens

  std::string_view TextOf(const InputWord& word) const {
    return std::string_view(text).substr(word.begin, word.end - word.begin);
  }
};

// Reads the value of a row's field: a list of words, which are joined by
// spaces, or a text whose words stand between white space. INVALID_ARGUMENT
// (kInvalidData) for anything else, for a word that is empty, and unless there
// are 1 to 16,384 words.
absl::StatusOr<InputText> ReadInputWords(const nlohmann::json& value,
                                         std::string_view field);

// Gives every word its first token. `encoding` is that of a text in which the
// words' text begins at byte `text_begin`; words that reach beyond byte
// `text_end` have none. -> the place behind the last token of that text.
int64_t LocateTokens(const Encoding& encoding, size_t text_begin,
                     size_t text_end, absl::Span<InputWord> words);

// How many of `words`, whose tokens end before place `end`, are left when the
// last ones give up at least `excess` tokens.
size_t CountWordsBefore(absl::Span<const InputWord> words, int64_t end,
                        int64_t excess);

// How many of `words` have a token.
int CountWordsRead(absl::Span<const InputWord> words);

// Unicode code points before byte `position` of `text`.
int CountCharacters(std::string_view text, size_t position);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_INPUT_WORDS_H_
