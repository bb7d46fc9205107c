#include "worker/metrics/code_points.h"

#include <cstddef>

namespace attune::worker {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// Of the bytes that a code point with this first byte has; 0 if none has.
size_t LengthBy(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  if (first >= 0xF0 && first < 0xF5) return 4;
  return 0;
}

bool IsScalar(char32_t code_point, size_t length) {
  // Longer than needed, half of a surrogate pair, or beyond Unicode.
  if (length == 3) {
    return code_point >= 0x800 && (code_point < 0xD800 || code_point > 0xDFFF);
  }
  return length < 4 || (code_point >= 0x10000 && code_point <= 0x10FFFF);
}

}  // namespace

char32_t TakeCodePoint(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = LengthBy(first);
  if (length == 1) {
    text.remove_prefix(1);
    return first;
  }
  char32_t code_point = first & (0x7F >> length);
  bool valid = length > 0 && length <= text.size();
  for (size_t i = 1; valid && i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    valid = (next & 0xC0) == 0x80;
    code_point = code_point << 6 | (next & 0x3F);
  }
  valid = valid && IsScalar(code_point, length);
  text.remove_prefix(valid ? length : 1);
  return valid ? code_point : kReplacement;
}

bool IsSpace(char32_t code_point) {
  if (code_point < 0x80) {
    return code_point == ' ' || (code_point >= 0x09 && code_point <= 0x0D) ||
           (code_point >= 0x1C && code_point <= 0x1F);
  }
  if (code_point >= 0x2000 && code_point <= 0x200A) return true;
  switch (code_point) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return false;
  }
}

std::string_view StripRight(std::string_view text) {
  size_t end = 0;
  for (std::string_view rest = text; !rest.empty();) {
    if (!IsSpace(TakeCodePoint(rest))) end = text.size() - rest.size();
  }
  return text.substr(0, end);
}

std::string_view Strip(std::string_view text) {
  text = StripRight(text);
  for (std::string_view rest = text;
       !rest.empty() && IsSpace(TakeCodePoint(rest));) {
    text = rest;
  }
  return text;
}

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0;
  size_t end = 0;  // of the word that began at `begin`
  for (std::string_view rest = text; !rest.empty();) {
    const bool is_space = IsSpace(TakeCodePoint(rest));
    const size_t next = text.size() - rest.size();
    if (!is_space) {
      end = next;
      continue;
    }
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = next;
    end = next;
  }
  if (end > begin) words.push_back(text.substr(begin, end - begin));
  return words;
}

}  // namespace attune::worker
