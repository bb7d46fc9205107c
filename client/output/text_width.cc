#include "client/output/text_width.h"

#include <locale.h>
#include <wchar.h>

#include <algorithm>
#include <cstdint>

namespace attune::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";

bool IsContinuation(char byte) { return (byte & 0xC0) == 0x80; }

// C0, DEL and C1 (where U+009B starts a control sequence), and the characters
// that turn the writing direction round.
bool IsControl(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) ||
         (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

// Selects the C library's Unicode tables for this thread while it lives, and
// leaves the process's locale alone.
class UnicodeTables {
 public:
  UnicodeTables()
      : unicode_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)),
        previous_(unicode_ ? uselocale(unicode_) : nullptr) {}
  ~UnicodeTables() {
    if (unicode_ != nullptr) {
      uselocale(previous_);
      freelocale(unicode_);
    }
  }
  UnicodeTables(const UnicodeTables&) = delete;
  UnicodeTables& operator=(const UnicodeTables&) = delete;

  int WidthOf(char32_t code) const {
    const int width =
        unicode_ == nullptr ? 1 : wcwidth(static_cast<wchar_t>(code));
    return width < 0 ? 1 : width;
  }

 private:
  const locale_t unicode_;
  const locale_t previous_;
};

// `text` with what steers a terminal replaced, but line breaks and tabs as
// `newline` and `tab`.
std::string Clean(std::string_view text, std::string_view newline,
                  std::string_view tab) {
  std::string clean;
  while (!text.empty()) {
    const std::optional<Utf8Character> next = FirstCharacter(text);
    if (!next) {
      clean += kReplacement;
    } else if (next->code == '\n') {
      clean += newline;
    } else if (next->code == '\t') {
      clean += tab;
    } else if (IsControl(next->code)) {
      clean += kReplacement;
    } else {
      clean += text.substr(0, next->num_bytes);
    }
    text.remove_prefix(next ? next->num_bytes : 1);
  }
  return clean;
}

}  // namespace

std::optional<Utf8Character> FirstCharacter(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return Utf8Character{lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return std::nullopt;
  const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (static_cast<int>(text.size()) < length) return std::nullopt;
  char32_t code = lead & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    if (!IsContinuation(text[i])) return std::nullopt;
    code = code << 6 | (text[i] & 0x3F);
  }
  const bool overlong =
      (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (overlong || surrogate || code > 0x10FFFF) return std::nullopt;
  return Utf8Character{code, length};
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::optional<Utf8Character> next = FirstCharacter(text);
    if (!next) return false;
    text.remove_prefix(next->num_bytes);
  }
  return true;
}

int DisplayWidth(std::string_view text) {
  const UnicodeTables tables;
  int columns = 0;
  while (!text.empty()) {
    const std::optional<Utf8Character> next = FirstCharacter(text);
    columns += next ? tables.WidthOf(next->code) : 1;
    text.remove_prefix(next ? next->num_bytes : 1);
  }
  return columns;
}

std::string OneLine(std::string_view text) { return Clean(text, " ", " "); }

std::string Harmless(std::string_view text) { return Clean(text, "\n", "\t"); }

std::string CutTo(std::string_view text, int columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  if (columns <= 0) return "";
  const UnicodeTables tables;
  std::string cut;
  int left = columns - 1;  // one is for the ellipsis
  while (!text.empty()) {
    const std::optional<Utf8Character> next = FirstCharacter(text);
    const int num_bytes = next ? next->num_bytes : 1;
    left -= next ? tables.WidthOf(next->code) : 1;
    if (left < 0) break;
    cut += text.substr(0, num_bytes);
    text.remove_prefix(num_bytes);
  }
  cut += kEllipsis;
  return cut;
}

std::string PadRight(std::string_view text, int columns) {
  const int missing = std::max(0, columns - DisplayWidth(text));
  return std::string(text) + std::string(missing, ' ');
}

std::string PadLeft(std::string_view text, int columns) {
  const int missing = std::max(0, columns - DisplayWidth(text));
  return std::string(missing, ' ') + std::string(text);
}

}  // namespace attune::client
