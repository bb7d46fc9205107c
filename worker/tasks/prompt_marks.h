#ifndef ATTUNE_WORKER_TASKS_PROMPT_MARKS_H_
#define ATTUNE_WORKER_TASKS_PROMPT_MARKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// Where the rows of a soft prompt stand in a text (PROMPT_PLACEMENT_MARKERS):
// the template's variable `soft_prompt` leaves a mark, marks are taken out of
// the text before it is tokenised, and the rows stand before the tokens that
// begin behind them.

// The variable of a template that leaves a mark.
inline constexpr char kPromptVariable[] = "soft_prompt";
// The mark. No text has it, for its characters of the private use area, which
// are neither letters nor white space: filters let it be.
inline constexpr std::string_view kPromptMark = "\xee\x80\x82\xee\x80\x83";

// Among the ids of an input, what stands for row `row` of its prompt.
constexpr int64_t IdOfPromptRow(int64_t row) { return -1 - row; }
// The row that `id` stands for; below 0 for the id of a token.
constexpr int64_t PromptRowOfId(int64_t id) { return -1 - id; }

// How many of `ids` are tokens.
inline int64_t CountTokens(absl::Span<const int64_t> ids) {
  return std::count_if(ids.begin(), ids.end(),
                       [](int64_t id) { return id >= 0; });
}

// A text without its marks.
struct UnmarkedText {
  std::string text;
  std::vector<size_t> places;  // bytes of `text` where marks stood, ascending
};

// Copies nothing of a text without marks.
UnmarkedText TakePromptMarks(std::string text);

// The ids of the first `num_tokens` of `tokens`, those of an UnmarkedText, with
// `num_rows` rows, in their order, dealt out evenly to `places`: the first rows
// before the first token that begins at the first place or behind it, and so
// on. A place within a token is in front of the next one.
std::vector<int64_t> WithPromptRows(const Encoding& tokens, size_t num_tokens,
                                    const std::vector<size_t>& places,
                                    int64_t num_rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_PROMPT_MARKS_H_
