#ifndef ATTUNE_WORKER_API_ENGINE_MESSAGES_H_
#define ATTUNE_WORKER_API_ENGINE_MESSAGES_H_

#include <string>
#include <vector>

#include "attune/worker/v1/engine.pb.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/row_augmentation.h"
#include "worker/inference/target_evaluation.h"

namespace attune::worker {

// What a request asks of the engine. A target index below 0 becomes one that no
// list is long enough for, so that the engine refuses it.
InferenceCall MakeCall(const v1::EnginePredictRequest& request);
InferenceCall MakeCall(const v1::EngineGenerateRequest& request);
EvaluationCall MakeCall(const v1::EngineEvaluateHeader& header,
                        std::vector<std::string> rows);
AugmentationCall MakeCall(const v1::EngineAugmentHeader& header,
                          std::vector<std::string> rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_ENGINE_MESSAGES_H_
