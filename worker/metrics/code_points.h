#ifndef ATTUNE_WORKER_METRICS_CODE_POINTS_H_
#define ATTUNE_WORKER_METRICS_CODE_POINTS_H_

#include <string_view>
#include <vector>

namespace attune::worker {

// Text as Python's str sees it, which the tools for metrics of texts are
// written in.

// Takes the first code point off `text`, which is not empty. A byte that begins
// no valid UTF-8 counts as U+FFFD.
char32_t TakeCodePoint(std::string_view& text);

// Whether str.isspace() holds: 29 characters in Unicode 3.0 to 16.0, with the
// separators U+001C to U+001F and without the zero width space.
bool IsSpace(char32_t code_point);

// Without white space around it, or behind it only.
std::string_view Strip(std::string_view text);
std::string_view StripRight(std::string_view text);

// What white space separates; as str.split().
std::vector<std::string_view> SplitWords(std::string_view text);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CODE_POINTS_H_
