#include "worker/tasks/spaced_answer.h"

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"

namespace attune::worker {

bool EndsInSpace(std::string_view text) {
  return !text.empty() && absl::ascii_isspace(text.back());
}

std::string SpacedAnswer(std::string_view answer, bool bare) {
  const bool spaced =
      !bare && !answer.empty() && !absl::ascii_isspace(answer.front());
  return Concat(spaced ? " " : "", answer);
}

}  // namespace attune::worker
