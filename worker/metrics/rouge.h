#ifndef ATTUNE_WORKER_METRICS_ROUGE_H_
#define ATTUNE_WORKER_METRICS_ROUGE_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace attune::worker {

// F-measures of one answer (Lin 2004), 0 to 1; of a corpus the mean over rows.
struct RougeScores {
  double rouge_1 = 0;  // of single words
  double rouge_2 = 0;  // of pairs of words
  double rouge_l = 0;  // of the longest common subsequence of words
};

// As rouge-score 0.1.2 computes them without its stemmer, each the best over
// the right answers; 0 without any. Words are runs of a to z and 0 to 9 after
// lower-casing: texts in other scripts have none, and score 0.
RougeScores ScoreRouge(absl::Span<const std::string> right,
                       std::string_view given);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_ROUGE_H_
