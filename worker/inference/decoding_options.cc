#include "worker/inference/decoding_options.h"

#include <cmath>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr int kMaxStops = 8;
constexpr size_t kMaxStopBytes = 64;

// `request` over `task`, field by field.
attune::v1::Decoding Override(const attune::v1::Decoding& task,
                              const attune::v1::Decoding& request) {
  attune::v1::Decoding merged = task;
  if (request.stop_size() > 0) {
    merged.clear_stop();  // the request's list replaces the task's
  }
  merged.MergeFrom(request);
  if (request.has_top_p()) {
    *merged.mutable_top_p() = request.top_p();  // its 0 must not get lost
  }
  return merged;
}

}  // namespace

absl::StatusOr<DecodingOptions> ResolveDecoding(
    const attune::v1::Decoding& task, const attune::v1::Decoding& request) {
  const attune::v1::Decoding merged = Override(task, request);
  FieldViolations wrong;
  if (merged.max_new_tokens() < 0) {
    wrong.Add("decoding.max_new_tokens", "must be at least 1");
  }
  // Written so that NaN is refused as well.
  if (!(merged.temperature() >= 0 && merged.temperature() <= 2)) {
    wrong.Add("decoding.temperature",
              Concat("is ", merged.temperature(), "; must be 0 to 2"));
  }
  if (merged.top_k() < 0) {
    wrong.Add("decoding.top_k", "must be at least 0");
  }
  const double top_p = merged.has_top_p() ? merged.top_p().value() : 1.0;
  if (!(top_p > 0 && top_p <= 1)) {
    wrong.Add("decoding.top_p",
              Concat("is ", top_p, "; must be above 0 and at most 1"));
  }
  if (merged.temperature() == 0 && (merged.top_k() > 0 || top_p < 1)) {
    wrong.Add(merged.top_k() > 0 ? "decoding.top_k" : "decoding.top_p",
              "has no effect without a temperature above 0: set one");
  }
  if (merged.stop_size() > kMaxStops) {
    wrong.Add("decoding.stop", "holds more than 8 texts");
  }
  for (const std::string& stop : merged.stop()) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      wrong.Add("decoding.stop", "each text must have 1 to 64 bytes");
      break;
    }
  }
  if (merged.num_beams() > 1) {
    wrong.AddUnsupported("decoding.num_beams",
                         "beam search is not supported: leave it at 0");
  } else if (merged.num_beams() < 0) {
    wrong.Add("decoding.num_beams", "must be 0 or 1");
  }
  if (!wrong.empty()) {
    return wrong.ToStatus();
  }
  DecodingOptions options;
  options.sampling = {.temperature = merged.temperature(),
                      .top_k = merged.top_k(),
                      .top_p = top_p,
                      .seed = merged.seed()};
  if (merged.max_new_tokens() > 0) {
    options.max_new_tokens = merged.max_new_tokens();
  }
  options.stop.assign(merged.stop().begin(), merged.stop().end());
  return options;
}

}  // namespace attune::worker
