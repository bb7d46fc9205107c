#ifndef ATTUNE_WORKER_METRICS_ANSWER_MATCH_H_
#define ATTUNE_WORKER_METRICS_ANSWER_MATCH_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace attune::worker {

// How well an answer to a question agrees with a right one, 0 to 1.
struct AnswerMatch {
  double exact = 0;  // the same words in the same order
  double f1 = 0;     // of the words, with their number
};

// Compares `given` with each of the right answers, none or "" of which mean
// that there is no answer, and takes the best of each measure (Rajpurkar et al.
// 2016 and 2018). Words are compared without the case of ASCII letters, ASCII
// punctuation and the articles a, an, the; an answer without words equals only
// one without words.
AnswerMatch MatchAnswers(absl::Span<const std::string> right,
                         std::string_view given);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_ANSWER_MATCH_H_
