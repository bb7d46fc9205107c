#ifndef ATTUNE_WORKER_INFERENCE_DECODING_OPTIONS_H_
#define ATTUNE_WORKER_INFERENCE_DECODING_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/inference/sampler.h"

namespace attune::worker {

// How one generation runs, with all defaults.
struct DecodingOptions {
  SamplingOptions sampling = {};
  int64_t max_new_tokens = 64;
  std::vector<std::string> stop = {};
  int64_t num_beams = 1;  // above 1: beam search
  double length_penalty = 1;
};

// The request's settings over the task's, field by field: what the request
// leaves unset (or 0 or empty, where that cannot be told from it) keeps the
// task's value. InvalidArgument or Unimplemented naming the field
// ("decoding.temperature") that is out of the range task.proto states.
absl::StatusOr<DecodingOptions> ResolveDecoding(
    const attune::v1::Decoding& task, const attune::v1::Decoding& request);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_DECODING_OPTIONS_H_
