#include "worker/tasks/demonstration_pool.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status_macros.h"

namespace attune::worker {

DemonstrationPool::DemonstrationPool(std::vector<ShownExample> examples)
    : examples_(std::move(examples)) {}

DemonstrationPool::DemonstrationPool(
    std::vector<ShownExample> examples,
    std::unique_ptr<const NearestDemonstrations> nearest, size_t count)
    : examples_(std::move(examples)),
      nearest_(std::move(nearest)),
      count_(count) {}

absl::StatusOr<DemonstrationPool::Choice> DemonstrationPool::Choose(
    std::string_view question, size_t max_bytes, const Fits& fits) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                          nearest_->Nearest(question, count_));
  Choice choice;
  choice.shown.reserve(places.size());
  size_t bytes_left = max_bytes;
  for (const size_t place : places) {
    const ShownExample& one = examples_[place];
    const size_t bytes = one.question.size() + one.answer.size();
    if (bytes > bytes_left) break;
    bytes_left -= bytes;
    choice.shown.push_back(one);
  }
  std::reverse(choice.shown.begin(), choice.shown.end());
  // All of them mostly fit; otherwise half of the numbers that are left are
  // ruled out each time.
  size_t least = 0;
  size_t most = choice.shown.size();
  for (size_t tried = most; least < most;
       tried = least + (most - least + 1) / 2) {
    ATTUNE_ASSIGN_OR_RETURN(
        const bool fit, fits(absl::MakeConstSpan(choice.shown).last(tried)));
    if (fit) {
      least = tried;
    } else {
      most = tried - 1;
    }
  }
  choice.num_left_out = static_cast<int>(places.size() - least);
  choice.shown.erase(choice.shown.begin(), choice.shown.end() - least);
  return choice;
}

size_t DemonstrationPool::num_bytes() const {
  size_t bytes = nearest_ == nullptr ? 0 : nearest_->num_bytes();
  for (const ShownExample& one : examples_) {
    bytes += sizeof(one) + one.question.size() + one.answer.size();
  }
  return bytes;
}

}  // namespace attune::worker
