#ifndef ATTUNE_TESTS_BENCH_BENCH_TASK_H_
#define ATTUNE_TESTS_BENCH_BENCH_TASK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/tasks/dataset.h"

namespace attune::bench {

inline constexpr int kBatch = 16;  // rows of a step

// The first kBatch rows of a JSON Lines file with `text` and `label`. NotFound
// for a file that cannot be read; InvalidArgument naming the line that is no
// such row; OutOfRange for fewer rows.
absl::StatusOr<std::vector<worker::Example>> ReadRows(const std::string& path);

// The label's name as text, as a classification answers it.
std::vector<worker::Example> AsTexts(std::vector<worker::Example> rows);

// Tasks over rows of a `text`: its label as generated text, or among `rows`'
// labels.
attune::v1::TaskSpec GenerationTask(const std::string& text_template);
attune::v1::TaskSpec ClassificationTask(
    const std::string& text_template, const std::vector<worker::Example>& rows);

// How long `work` takes.
double Seconds(const std::function<void()>& work);

// Not empty.
double Median(std::vector<double> values);

}  // namespace attune::bench

#endif  // ATTUNE_TESTS_BENCH_BENCH_TASK_H_
