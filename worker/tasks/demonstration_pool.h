#ifndef ATTUNE_WORKER_TASKS_DEMONSTRATION_POOL_H_
#define ATTUNE_WORKER_TASKS_DEMONSTRATION_POOL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/tasks/nearest_demonstrations.h"
#include "worker/tasks/shown_example.h"

namespace attune::worker {

// The demonstrations of a task: all of them stand before every input, or before
// each the few that are nearest to it. Const after construction: any number of
// threads may use one.
class DemonstrationPool {
 public:
  // Those that stand before one input.
  struct Choice {
    std::vector<ShownExample> shown;  // the nearest last
    int num_left_out = 0;             // for want of room
  };
  // Whether an input has room for these.
  using Fits =
      std::function<absl::StatusOr<bool>(absl::Span<const ShownExample>)>;

  // None.
  DemonstrationPool() = default;
  // All of `examples`, in their order, before every input.
  explicit DemonstrationPool(std::vector<ShownExample> examples);
  // The nearest `count`. `nearest` has a text for each of `examples`.
  DemonstrationPool(std::vector<ShownExample> examples,
                    std::unique_ptr<const NearestDemonstrations> nearest,
                    size_t count);

  bool is_empty() const { return examples_.empty(); }
  // Whether every input has all of them, or none.
  bool is_fixed() const { return nearest_ == nullptr; }
  const std::vector<ShownExample>& examples() const { return examples_; }

  // Of the nearest to `question` (QuestionText) as many as `fits` lets pass,
  // the farthest left out first: it must let pass fewer of them where it lets
  // pass more. Questions and answers together have at most `max_bytes`. Only
  // where they are not fixed. Errors of `fits` and of Nearest.
  absl::StatusOr<Choice> Choose(std::string_view question, size_t max_bytes,
                                const Fits& fits) const;

  // What they take of the memory, about.
  size_t num_bytes() const;

 private:
  std::vector<ShownExample> examples_;
  std::unique_ptr<const NearestDemonstrations> nearest_;  // null: fixed
  size_t count_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_DEMONSTRATION_POOL_H_
