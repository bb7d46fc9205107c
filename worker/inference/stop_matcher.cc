#include "worker/inference/stop_matcher.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "worker/tasks/answer_decoding.h"

namespace attune::worker {
namespace {

// Length of the longest end of `text` that is a real beginning of `stop`.
size_t LongestBeginning(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0;
       --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) {
      return length;
    }
  }
  return 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops)
    : stops_(std::move(stops)) {}

std::string StopMatcher::Push(std::string_view piece) {
  if (stopped_) {
    return "";
  }
  held_back_ += piece;
  const size_t first = FindStopText(held_back_, stops_);
  size_t undecided = 0;
  for (const std::string& stop : stops_) {
    undecided = std::max(undecided, LongestBeginning(held_back_, stop));
  }
  size_t ready = held_back_.size() - undecided;
  if (first != std::string::npos) {
    stopped_ = true;
    ready = first;
  }
  std::string out = held_back_.substr(0, ready);
  held_back_.erase(0, ready);
  return out;
}

std::string StopMatcher::Finish() {
  return stopped_ ? "" : std::exchange(held_back_, "");
}

}  // namespace attune::worker
