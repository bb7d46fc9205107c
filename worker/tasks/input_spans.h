#ifndef ATTUNE_WORKER_TASKS_INPUT_SPANS_H_
#define ATTUNE_WORKER_TASKS_INPUT_SPANS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// A part of a context that the model reads at once, with all the other text.
struct ContextWindow {
  std::vector<int64_t> ids;
  // Place of the context's first token among them; the others follow it.
  int64_t first = 0;
  // Of each of the context's tokens, [begin, end) in the context: bytes. Empty
  // for a token that stands for no character of its own.
  std::vector<Encoding::ByteRange> tokens;
  // The part of the context that the window has, bytes [begin, end).
  size_t begin = 0;
  size_t end = 0;
};

// A place in a context, bytes [begin, end). Empty: the context has no answer.
struct ContextSpan {
  size_t begin = 0;
  size_t end = 0;

  bool empty() const { return begin == end; }
  friend bool operator==(const ContextSpan&, const ContextSpan&) = default;
};

// A context and the windows it is read in: one where it fits, else several of
// which neighbours overlap.
struct InputContext {
  std::string text;
  std::vector<ContextWindow> windows;

  int64_t num_tokens() const;  // of all windows
  std::string_view TextOf(const ContextSpan& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
};

// The most windows of a context: what one input may cost.
inline constexpr int64_t kMaxWindows = 64;
// The fewest tokens of a context that does not fit that a window must have room
// for.
inline constexpr int64_t kMinWindowTokens = 16;

// Cuts `encoding`, that of a text in which the context stands at bytes
// [begin, end), into windows of at most `limit` tokens, of which neighbours
// have `overlap` tokens of the context in common, but at most half of it. Every
// window has all tokens before and behind the context. kInputTooLong for a
// context that does not fit in kMaxWindows, and where the other tokens leave
// room for fewer than kMinWindowTokens.
absl::StatusOr<std::vector<ContextWindow>> CutWindows(const Encoding& encoding,
                                                      size_t begin, size_t end,
                                                      int64_t limit,
                                                      int64_t overlap);

// Takes white space at the ends of tokens from them, which some tokenizers give
// to the word behind it, so that answers do without.
void TrimTokens(InputContext& context);

// Whether a token of the window has a character of `span`.
bool HasTokenOf(const ContextWindow& window, const ContextSpan& span);

// First and last token of `span` in a window, counted from 1 among the
// context's; {0, 0}, which stands for no answer, if the window has not all of
// it or no token of it.
std::pair<int, int> TokensOfSpan(const ContextWindow& window,
                                 const ContextSpan& span);

// The same of the first of `spans` that the window has whole, the answer that
// training aims at.
std::pair<int, int> TokensOfFirst(const ContextWindow& window,
                                  absl::Span<const ContextSpan> spans);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_INPUT_SPANS_H_
