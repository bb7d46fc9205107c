#include "worker/tasks/prompt_marks.h"

#include <utility>

namespace attune::worker {
namespace {

// The token before which rows of `place` stand. Behind the text's last token
// that is what the tokenizer added behind it.
size_t TokenBehind(const Encoding& tokens, size_t num_tokens, size_t place) {
  size_t behind_text = 0;
  for (size_t i = 0; i < num_tokens; ++i) {
    if (tokens.sequences[i] < 0) continue;
    if (tokens.offsets[i].begin >= place) return i;
    behind_text = i + 1;
  }
  return behind_text;
}

}  // namespace

UnmarkedText TakePromptMarks(std::string text) {
  size_t mark = text.find(kPromptMark);
  if (mark == text.npos) return {.text = std::move(text), .places = {}};
  UnmarkedText taken;
  taken.text.reserve(text.size());
  size_t begin = 0;
  for (; mark != text.npos; mark = text.find(kPromptMark, begin)) {
    taken.text.append(text, begin, mark - begin);
    taken.places.push_back(taken.text.size());
    begin = mark + kPromptMark.size();
  }
  taken.text.append(text, begin);
  return taken;
}

std::vector<int64_t> WithPromptRows(const Encoding& tokens, size_t num_tokens,
                                    const std::vector<size_t>& places,
                                    int64_t num_rows) {
  std::vector<int64_t> ids;
  ids.reserve(num_tokens + static_cast<size_t>(num_rows));
  const auto num_places = static_cast<int64_t>(places.size());
  size_t next_token = 0;
  int64_t next_row = 0;
  for (int64_t place = 0; place < num_places; ++place) {
    const size_t token = TokenBehind(tokens, num_tokens, places[place]);
    while (next_token < token) ids.push_back(tokens.ids[next_token++]);
    const int64_t end = (place + 1) * num_rows / num_places;
    while (next_row < end) ids.push_back(IdOfPromptRow(next_row++));
  }
  while (next_token < num_tokens) ids.push_back(tokens.ids[next_token++]);
  return ids;
}

}  // namespace attune::worker
