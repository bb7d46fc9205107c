#ifndef ATTUNE_WORKER_TASKS_ROW_OUTCOME_H_
#define ATTUNE_WORKER_TASKS_ROW_OUTCOME_H_

#include <string>
#include <vector>

namespace attune::worker {

// What a model answers to a row, and how unlikely the right answer was to it.
struct RowOutcome {
  double loss = 0;  // summed over what counts in `weight`
  // What a mean loss divides by: the answer's tokens, words, windows or 1.
  double weight = 0;

  // The answer, in the one that the task has.
  int label = -1;  // of a classification; of a multiple choice its place
  // Of all its labels or choices, until MeasureOutcomes takes them.
  std::vector<double> probabilities;
  // Of any number of labels those that were given, ascending; of a token
  // classification the tag of every word.
  std::vector<int> labels;
  double number = 0;  // of a regression
  std::string text;   // of a generation or an extractive QA
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ROW_OUTCOME_H_
