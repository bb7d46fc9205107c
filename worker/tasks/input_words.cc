#include "worker/tasks/input_words.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// An answer names each of them.
constexpr size_t kMaxWords = 16'384;

void AddWord(std::string_view word, InputText& words) {
  const size_t begin = words.text.size();
  words.text += word;
  words.words.push_back({.begin = begin, .end = words.text.size()});
}

InputText SplitAtSpaces(const std::string& text) {
  InputText words;
  words.text = text;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !absl::ascii_isspace(text[i])) continue;
    if (i > begin) words.words.push_back({.begin = begin, .end = i});
    begin = i + 1;
  }
  return words;
}

}  // namespace

absl::StatusOr<InputText> ReadInputWords(const nlohmann::json& value,
                                         std::string_view field) {
  InputText words;
  if (value.is_string()) {
    words = SplitAtSpaces(value.get_ref<const std::string&>());
  } else if (value.is_array()) {
    for (const nlohmann::json& item : value) {
      if (!item.is_string() || item.get_ref<const std::string&>().empty()) {
        return MakeError(
            Reason::kInvalidData,
            Concat("field '", field, "': word ", words.words.size() + 1,
                   " is empty or no text"));
      }
      if (!words.words.empty()) words.text += ' ';
      AddWord(item.get_ref<const std::string&>(), words);
    }
  } else {
    return MakeError(
        Reason::kInvalidData,
        Concat("field '", field, "' must be a list of words or a text, not ",
               value.type_name()));
  }
  if (words.words.empty() || words.words.size() > kMaxWords) {
    return MakeError(Reason::kInvalidData,
                     Concat("field '", field, "' has ", words.words.size(),
                            " words; 1 to ", kMaxWords, " are allowed"));
  }
  return words;
}

int64_t LocateTokens(const Encoding& encoding, size_t text_begin,
                     size_t text_end, absl::Span<InputWord> words) {
  size_t next = 0;
  for (InputWord& word : words) {
    word.token = -1;
    const size_t begin = text_begin + word.begin;
    const size_t end = text_begin + word.end;
    if (end > text_end) continue;
    // Tokens are in the order of the text; those that were added have no range.
    const auto is_before = [&](size_t i) {
      return encoding.sequences[i] != 0 || encoding.offsets[i].end <= begin;
    };
    while (next < encoding.ids.size() && is_before(next)) ++next;
    if (next < encoding.ids.size() && encoding.offsets[next].begin < end) {
      word.token = static_cast<int64_t>(next);
    }
  }
  while (next < encoding.ids.size() && encoding.sequences[next] == 0 &&
         encoding.offsets[next].begin < text_end) {
    ++next;
  }
  return static_cast<int64_t>(next);
}

size_t CountWordsBefore(absl::Span<const InputWord> words, int64_t end,
                        int64_t excess) {
  size_t left = words.size() - 1;
  while (left > 0 &&
         (words[left].token < 0 || end - words[left].token < excess)) {
    --left;
  }
  return left;
}

int CountWordsRead(absl::Span<const InputWord> words) {
  return static_cast<int>(
      std::count_if(words.begin(), words.end(),
                    [](const InputWord& word) { return word.token >= 0; }));
}

int CountCharacters(std::string_view text, size_t position) {
  return static_cast<int>(std::count_if(
      text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position),
      [](unsigned char byte) { return (byte & 0xC0) != 0x80; }));
}

}  // namespace attune::worker
