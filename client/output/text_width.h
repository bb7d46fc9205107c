#ifndef ATTUNE_CLIENT_OUTPUT_TEXT_WIDTH_H_
#define ATTUNE_CLIENT_OUTPUT_TEXT_WIDTH_H_

#include <optional>
#include <string>
#include <string_view>

// How text looks on a terminal: UTF-8 in columns, and nothing that steers the
// terminal. Pure functions.
namespace attune::client {

// The first character of `text` and its length in bytes; nullopt when `text` is
// empty or does not start with valid UTF-8.
struct Utf8Character {
  char32_t code;
  int num_bytes;
};
std::optional<Utf8Character> FirstCharacter(std::string_view text);

bool IsValidUtf8(std::string_view text);

// Columns of `text`: two for wide characters (Chinese, emoji), none for
// combining ones. Characters that the C library does not know count one.
int DisplayWidth(std::string_view text);

// `text` on one line and harmless: line breaks and tabs become spaces, other
// control characters and wrong UTF-8 become U+FFFD.
std::string OneLine(std::string_view text);

// `text` with its line breaks and tabs, but nothing else that steers.
std::string Harmless(std::string_view text);

// `text` cut to `columns`, with "…" at the end when something is missing.
std::string CutTo(std::string_view text, int columns);

// `text` with spaces after (or before) it until it has `columns`.
std::string PadRight(std::string_view text, int columns);
std::string PadLeft(std::string_view text, int columns);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_TEXT_WIDTH_H_
