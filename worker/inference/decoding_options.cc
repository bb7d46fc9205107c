#include "worker/inference/decoding_options.h"

#include <algorithm>
#include <cmath>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr int kMaxStops = 8;
constexpr size_t kMaxStopBytes = 64;
constexpr int kMaxBeams = 16;
constexpr double kMaxLengthPenalty = 4;

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
  if (request.has_length_penalty()) {
    *merged.mutable_length_penalty() = request.length_penalty();
  }
  // What the task samples among says nothing of the likeliest token.
  if (request.has_temperature() && request.temperature() == 0) {
    if (!request.has_top_k()) merged.clear_top_k();
    if (!request.has_top_p()) merged.clear_top_p();
  }
  return merged;
}

// `merged`: `request` over the task's.
void CheckBeams(const attune::v1::Decoding& merged,
                const attune::v1::Decoding& request, FieldViolations& wrong) {
  if (merged.num_beams() < 0 || merged.num_beams() > kMaxBeams) {
    wrong.Add("decoding.num_beams",
              Concat("is ", merged.num_beams(), "; must be 0 to ", kMaxBeams));
  } else if (merged.num_beams() > 1 && merged.temperature() > 0) {
    wrong.Add("decoding.num_beams",
              Concat("is ", merged.num_beams(), " beside a temperature of ",
                     merged.temperature(),
                     "; a beam search does not sample: set it to 1 or leave "
                     "the temperature at 0"));
  }
  const double penalty = merged.length_penalty().value();
  if (!(std::abs(penalty) <= kMaxLengthPenalty)) {
    wrong.Add("decoding.length_penalty",
              Concat("is ", penalty, "; must be ", -kMaxLengthPenalty, " to ",
                     kMaxLengthPenalty));
  }
  // A request may switch the task's beams off and leave the rest alone.
  if (request.has_length_penalty() && merged.num_beams() <= 1) {
    wrong.Add("decoding.length_penalty",
              "has no effect without a beam search: set num_beams above 1");
  }
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
  CheckBeams(merged, request, wrong);
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
  options.num_beams = std::max(1, merged.num_beams());
  if (merged.has_length_penalty()) {
    options.length_penalty = merged.length_penalty().value();
  }
  return options;
}

}  // namespace attune::worker
