#ifndef ATTUNE_WORKER_TASKS_SPACED_ANSWER_H_
#define ATTUNE_WORKER_TASKS_SPACED_ANSWER_H_

#include <string>
#include <string_view>

namespace attune::worker {

// Whether an answer behind `text` gets no space of its own.
bool EndsInSpace(std::string_view text);

// An answer as it stands behind a text: behind a space, unless it begins with
// one or stands bare.
std::string SpacedAnswer(std::string_view answer, bool bare);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SPACED_ANSWER_H_
