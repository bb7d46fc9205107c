#ifndef ATTUNE_WORKER_TASKS_ROW_ANSWER_H_
#define ATTUNE_WORKER_TASKS_ROW_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/tasks/input_spans.h"

namespace attune::worker {

// Takes the text of `field` out of `fields`. RowError (faults.h) if it is
// missing or something else.
absl::StatusOr<std::string> TakeText(nlohmann::json& fields,
                                     const std::string& field, int64_t row);

// The most right answers of a generation's row.
inline constexpr size_t kMaxRightTexts = 64;

// A row's answer and, of a generation, what else is right.
struct RowAnswer {
  std::string text;  // never empty
  std::vector<std::string> others;
};

// Takes the answer of a row out of its fields, as one text: of a token
// classification its tags, joined by spaces; of several labels a JSON list; of
// a regression a JSON number; of an extractive QA a JSON list of places in the
// context; of a multiple choice the right choice's text; of the others as it
// is, where a generation may have a list of texts, any of which is right and
// the first its answer. `task` has its defaults filled in. RowError naming the
// field for what is no such answer or empty, or for choices that are none.
absl::StatusOr<RowAnswer> TakeAnswer(nlohmann::json& fields,
                                     const attune::v1::TaskSpec& task,
                                     int64_t row);

// The answer of a token classification as one tag per word.
std::vector<std::string> SplitTags(std::string_view answer);
// The answer of a row with any number of labels.
std::vector<std::string> SplitLabels(std::string_view answer);
// The answer of a regression.
double NumberOf(std::string_view answer);
// The right answers of an extractive QA; none if the context has none.
std::vector<ContextSpan> SpansOf(std::string_view answer);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ROW_ANSWER_H_
