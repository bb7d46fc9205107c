#include "worker/api/engine_messages.h"

#include <utility>

namespace attune::worker {
namespace {

InferenceTarget MakeTarget(const v1::EngineTarget& target) {
  return {.model = target.model(),
          .task = target.task(),
          .artifact_digest = target.artifact_digest(),
          .prompt_version = target.prompt_version(),
          .model_fingerprint = target.model_fingerprint()};
}

}  // namespace

InferenceCall MakeCall(const v1::EnginePredictRequest& request) {
  InferenceCall call;
  for (const v1::EngineTarget& target : request.targets()) {
    call.targets.push_back(MakeTarget(target));
  }
  for (const v1::EngineItem& item : request.items()) {
    call.inputs.push_back({.target = static_cast<size_t>(item.target()),
                           .fields = item.fields(),
                           .decoding = item.decoding()});
  }
  return call;
}

InferenceCall MakeCall(const v1::EngineGenerateRequest& request) {
  InferenceCall call;
  call.targets.push_back(MakeTarget(request.target()));
  call.inputs.push_back({.target = 0,
                         .fields = request.fields(),
                         .decoding = request.decoding()});
  return call;
}

EvaluationCall MakeCall(const v1::EngineEvaluateHeader& header,
                        std::vector<std::string> rows) {
  EvaluationCall call;
  call.target = MakeTarget(header.target());
  if (header.has_baseline()) call.baseline = MakeTarget(header.baseline());
  call.choice = {.split = header.split(),
                 .max_rows = header.max_rows(),
                 .seed = header.seed()};
  call.metric = header.metric();
  call.rows = std::move(rows);
  return call;
}

AugmentationCall MakeCall(const v1::EngineAugmentHeader& header,
                          std::vector<std::string> rows) {
  return {.classifier = MakeTarget(header.classifier()),
          .generator = header.generator(),
          .labels = {header.labels().begin(), header.labels().end()},
          .text_field = header.text_field(),
          .rows_per_label = header.rows_per_label(),
          .num_demonstrations = header.num_demonstrations(),
          .max_attempts_per_row = header.max_attempts_per_row(),
          .min_score = header.min_score(),
          .decoding = header.decoding(),
          .seed = header.seed(),
          .rows = std::move(rows)};
}

}  // namespace attune::worker
