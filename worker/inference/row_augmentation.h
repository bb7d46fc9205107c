#ifndef ATTUNE_WORKER_INFERENCE_ROW_AUGMENTATION_H_
#define ATTUNE_WORKER_INFERENCE_ROW_AUGMENTATION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/dataset_service.pb.h"
#include "attune/v1/task.pb.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/target_resolver.h"

namespace attune::worker {

// What is written after which rows, and who judges it.
struct AugmentationCall {
  InferenceTarget classifier;
  std::string generator;            // models/{id}, bare
  std::vector<std::string> labels;  // of the classifier's task
  std::string
      text_field;  // empty: the one that the classifier's template reads
  int64_t rows_per_label = 20;
  int64_t num_demonstrations = 4;
  int64_t max_attempts_per_row = 8;
  double min_score = 0.8;
  // As of TextWriter.
  attune::v1::Decoding decoding;
  uint64_t seed = 0;
  std::vector<std::string> rows;  // JSON objects, in the order of the dataset
};

// Who hears of an augmentation while it runs.
struct AugmentationHooks {
  // Called before every piece of computing; an error ends the augmentation.
  std::function<absl::Status()> pause;
  // How far it is, and the rows, JSON objects, that were kept since the last
  // time.
  std::function<void(const attune::v1::AugmentDatasetResponse& progress,
                     std::vector<std::string> rows)>
      on_progress;
};

// Has a base model write texts after the training rows of each label, and keeps
// those that the classifier is sure of, as rows of the new dataset. The result
// has the counts of each label and some texts that were not kept. Equal calls
// give equal rows on the same machine. Blocks as TargetResolver::Resolve does,
// and computes on the calling thread.
//
// INVALID_ARGUMENT (kInvalidField) naming the field: the classifier is no
// classification by one label, has no such label or does not read text_field;
// the generator generates no text. INVALID_ARGUMENT (kInvalidTemplate): the
// classifier's template needs other fields, too. Errors of Resolve,
// ReadLabelTexts, TextWriter and AnswerItems, of the hook; kOutOfMemory.
absl::StatusOr<attune::v1::AugmentDatasetResponse> AugmentRows(
    AugmentationCall call, TargetResolver& resolver,
    const AugmentationHooks& hooks);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_ROW_AUGMENTATION_H_
