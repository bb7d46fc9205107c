#include "worker/tasks/cut_tokens.h"

#include <algorithm>
#include <string_view>

namespace attune::worker {
namespace {

// First byte of the character that `position` stands in or, with `forward`,
// the next one that begins there or later.
size_t CharacterBorder(std::string_view text, size_t position, bool forward) {
  const auto continues = [&](size_t i) {
    return i < text.size() &&
           (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
  };
  while (continues(position)) position = forward ? position + 1 : position - 1;
  return position;
}

}  // namespace

std::string CutTokens(const std::string& text, const Encoding& tokens,
                      size_t excess, attune::v1::TruncationSide side) {
  const size_t count = tokens.ids.size();
  if (excess >= count) return "";
  if (side == attune::v1::TRUNCATION_SIDE_RIGHT) {
    const size_t end =
        std::min(tokens.offsets[count - excess - 1].end, text.size() - 1);
    return text.substr(0, CharacterBorder(text, end, /*forward=*/false));
  }
  const size_t begin = std::max<size_t>(tokens.offsets[excess].begin, 1);
  return text.substr(CharacterBorder(text, begin, /*forward=*/true));
}

}  // namespace attune::worker
