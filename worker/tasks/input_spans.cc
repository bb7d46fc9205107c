#include "worker/tasks/input_spans.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// How many of a context's `count` tokens a window has, beside `around` others.
absl::StatusOr<int64_t> RoomOfWindow(int64_t count, int64_t around,
                                     int64_t limit) {
  if (count + around <= limit) return count;
  if (limit - around >= kMinWindowTokens) return limit - around;
  return MakeError(
      Reason::kInputTooLong,
      Concat("the text around the context has ", around, " tokens; of ", limit,
             " that the model takes at once, ", kMinWindowTokens,
             " must be left for the context"));
}

}  // namespace

int64_t InputContext::num_tokens() const {
  int64_t count = 0;
  for (const ContextWindow& window : windows) {
    count += static_cast<int64_t>(window.ids.size());
  }
  return count;
}

absl::StatusOr<std::vector<ContextWindow>> CutWindows(const Encoding& encoding,
                                                      size_t begin, size_t end,
                                                      int64_t limit,
                                                      int64_t overlap) {
  const auto is_context = [&](size_t i) {
    const Encoding::ByteRange& range = encoding.offsets[i];
    return encoding.sequences[i] == 0 && range.end > begin && range.begin < end;
  };
  const int64_t size = static_cast<int64_t>(encoding.ids.size());
  int64_t first = 0;
  while (first < size && !is_context(first)) ++first;
  int64_t last = first;  // one behind the last
  while (last < size && is_context(last)) ++last;
  if (first == last) {
    return MakeError(Reason::kInvalidData,
                     "the context has no tokens: there is nothing to answer "
                     "from");
  }
  const int64_t around = size - (last - first);
  ATTUNE_ASSIGN_OR_RETURN(const int64_t room,
                          RoomOfWindow(last - first, around, limit));
  const int64_t step = room - std::clamp<int64_t>(overlap, 0, room / 2);
  const int64_t count = 1 + (last - first - room + step - 1) / step;
  if (count > kMaxWindows) {
    return MakeError(
        Reason::kInputTooLong,
        Concat("the context has ", last - first, " tokens, ", count,
               " windows of ", room, "; at most ", kMaxWindows,
               " are read: shorten it, or lower task.span_reading."
               "overlap_tokens"));
  }
  std::vector<ContextWindow> windows;
  for (int64_t from = first;; from += step) {
    const int64_t to = std::min(from + room, last);
    ContextWindow window;
    window.first = first;
    const auto ids = encoding.ids.begin();
    window.ids.assign(ids, ids + first);
    window.ids.insert(window.ids.end(), ids + from, ids + to);
    window.ids.insert(window.ids.end(), ids + last, encoding.ids.end());
    for (int64_t i = from; i < to; ++i) {
      // A token may begin before the context, with a space for example.
      const Encoding::ByteRange& range = encoding.offsets[i];
      window.tokens.push_back({std::max(range.begin, begin) - begin,
                               std::min(range.end, end) - begin});
    }
    // Characters that no token stands for belong to the window beside them.
    window.begin = from == first ? 0 : window.tokens.front().begin;
    window.end = to == last ? end - begin : window.tokens.back().end;
    windows.push_back(std::move(window));
    if (to == last) return windows;
  }
}

void TrimTokens(InputContext& context) {
  for (ContextWindow& window : context.windows) {
    for (Encoding::ByteRange& token : window.tokens) {
      while (token.begin < token.end &&
             absl::ascii_isspace(context.text[token.begin])) {
        ++token.begin;
      }
      while (token.begin < token.end &&
             absl::ascii_isspace(context.text[token.end - 1])) {
        --token.end;
      }
    }
  }
}

bool HasTokenOf(const ContextWindow& window, const ContextSpan& span) {
  return std::any_of(window.tokens.begin(), window.tokens.end(),
                     [&](const Encoding::ByteRange& token) {
                       return token.end > span.begin && token.begin < span.end;
                     });
}

std::pair<int, int> TokensOfSpan(const ContextWindow& window,
                                 const ContextSpan& span) {
  if (window.begin > span.begin || window.end < span.end) return {0, 0};
  int first = 0;
  int last = 0;
  for (size_t i = 0; i < window.tokens.size(); ++i) {
    const Encoding::ByteRange& token = window.tokens[i];
    if (token.end <= span.begin || token.begin >= span.end) continue;
    if (first == 0) first = static_cast<int>(i) + 1;
    last = static_cast<int>(i) + 1;
  }
  return {first, last};
}

std::pair<int, int> TokensOfFirst(const ContextWindow& window,
                                  absl::Span<const ContextSpan> spans) {
  for (const ContextSpan& span : spans) {
    const std::pair<int, int> tokens = TokensOfSpan(window, span);
    if (tokens.first > 0) return tokens;
  }
  return {0, 0};
}

}  // namespace attune::worker
