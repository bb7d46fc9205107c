#ifndef ATTUNE_WORKER_INFERENCE_STOP_MATCHER_H_
#define ATTUNE_WORKER_INFERENCE_STOP_MATCHER_H_

#include <string>
#include <string_view>
#include <vector>

namespace attune::worker {

// Looks for stop texts in text that comes in pieces, across their borders. Text
// that may be the beginning of a stop text is held back until that is decided.
// One generation owns one. Not thread-safe.
class StopMatcher {
 public:
  // No stop text may be empty.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes the next piece; returns the text that may go out. Nothing after a
  // stop text ever goes out.
  std::string Push(std::string_view piece);

  // Returns what is held back, at the end of the text.
  std::string Finish();

  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string> stops_;
  std::string held_back_;
  bool stopped_ = false;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_STOP_MATCHER_H_
