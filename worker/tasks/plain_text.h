#ifndef ATTUNE_WORKER_TASKS_PLAIN_TEXT_H_
#define ATTUNE_WORKER_TASKS_PLAIN_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace attune::worker {

// Texts as they are compared and listed. Pure functions.

// `text` with one space wherever it has ASCII white space, line breaks among
// it, and none at its ends.
std::string OneSpaced(std::string text);

// The whole characters among the first `max_bytes` of a UTF-8 text.
std::string_view BeginningOf(std::string_view text, size_t max_bytes);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_PLAIN_TEXT_H_
