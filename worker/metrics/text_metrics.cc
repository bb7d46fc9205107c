#include "worker/metrics/text_metrics.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "worker/metrics/class_quality.h"

namespace attune::worker {

double ExactMatch(const std::vector<std::string>& right,
                  const std::vector<std::string>& given) {
  double hits = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    if (absl::StripAsciiWhitespace(right[i]) ==
        absl::StripAsciiWhitespace(given[i])) {
      ++hits;
    }
  }
  return Ratio(hits, static_cast<double>(right.size()));
}

}  // namespace attune::worker
