#include "server/api/augment_checks.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/task_checks.h"
#include "server/api/tuning_checks.h"
#include "server/api/unsupported.h"

namespace attune::server {
namespace {

using worker::v1::EngineAugmentHeader;

// A number that may be left at 0 for its default.
void CheckCount(int32_t value, int most, std::string_view path,
                FieldViolations& violations) {
  if (value >= 0 && value <= most) return;
  violations.Add(
      path, Concat("is ", value, "; 1 to ", most, ", or 0 for the default"));
}

void CheckGenerator(const v1::InferenceTarget& generator,
                    FieldViolations& violations) {
  if (generator.has_prompt()) {
    violations.AddUnsupported(
        "generator.prompt",
        "a prompt is tuned to answer its own template, not to go on with a "
        "list of texts: name a base model (generator.base.model)");
    return;
  }
  if (!generator.has_base()) {
    violations.Add("generator", "names nothing: set base, or leave it out");
    return;
  }
  violations.AddAll(
      "", ParseResourceName(kModelCollection, generator.base().model(),
                            "generator.base.model")
              .status());
  if (generator.base().has_task()) {
    violations.Add("generator.base.task",
                   "must be left out: an augmentation has its own");
  }
}

void CheckSampling(const v1::Decoding& decoding, FieldViolations& violations) {
  CheckDecoding(decoding, "decoding", violations);
  if (decoding.max_new_tokens() > kMaxNewTokens) {
    violations.Add(
        "decoding.max_new_tokens",
        Concat("is ", decoding.max_new_tokens(), "; at most ", kMaxNewTokens));
  }
  // The line break is one of them.
  if (decoding.stop_size() == kMaxStops) {
    violations.Add("decoding.stop",
                   Concat("has ", kMaxStops, " texts; at most ", kMaxStops - 1,
                          " beside the line break"));
  }
  if (decoding.seed() != 0) {
    violations.Add("decoding.seed", "must be left out: set seed");
  }
  if (decoding.has_temperature() && decoding.temperature() == 0) {
    violations.Add("decoding.temperature",
                   "must be above 0: texts are sampled, so that they differ");
  }
  if (decoding.num_beams() > 1) {
    violations.Add("decoding.num_beams",
                   "must be left out: texts are sampled, so that they differ");
  }
  if (decoding.has_length_penalty()) {
    violations.Add("decoding.length_penalty",
                   "must be left out: it is for beams");
  }
}

void CheckAskedLabels(const v1::AugmentDatasetRequest& request,
                      FieldViolations& violations) {
  if (request.labels_size() > kMaxLabels) {
    violations.Add("labels", Concat("has ", request.labels_size(),
                                    " labels; at most ", kMaxLabels));
    return;
  }
  std::set<std::string> seen;
  for (int i = 0; i < request.labels_size(); ++i) {
    if (seen.insert(request.labels(i)).second) continue;
    violations.Add(Concat("labels[", i, "]"),
                   Concat("'", request.labels(i), "' is there twice"));
  }
}

void SetDecoding(const v1::Decoding& asked, v1::Decoding& decoding) {
  decoding = asked;
  if (decoding.max_new_tokens() == 0) {
    decoding.set_max_new_tokens(kDefaultNewTokens);
  }
  if (!decoding.has_temperature()) {
    decoding.set_temperature(kDefaultTemperature);
  }
  if (!decoding.has_top_p()) decoding.mutable_top_p()->set_value(kDefaultTopP);
}

int32_t OrUsual(int32_t asked, int otherwise) {
  return asked == 0 ? otherwise : asked;
}

// The labels that get rows. INVALID_ARGUMENT naming the one that the task has
// not.
absl::Status SetLabels(const v1::AugmentDatasetRequest& request,
                       EngineAugmentHeader& header) {
  std::set<std::string> known;
  for (const v1::LabelWords& label : header.classifier().task().labels()) {
    known.insert(label.label());
    if (request.labels().empty()) header.add_labels(label.label());
  }
  for (int i = 0; i < request.labels_size(); ++i) {
    if (!known.contains(request.labels(i))) {
      return InvalidField(Concat("labels[", i, "]"),
                          Concat("'", request.labels(i),
                                 "' is not among the labels of the "
                                 "classifier's task"));
    }
    header.add_labels(request.labels(i));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAugmentDataset(const v1::AugmentDatasetRequest& request) {
  FieldViolations violations;
  CheckSupported(request, "", violations);
  violations.AddAll(
      "", ParseResourceName(kDatasetCollection, request.dataset(), "dataset")
              .status());
  CheckNewId(request.new_dataset_id(), "new_dataset_id", violations);
  if (request.has_generator()) CheckGenerator(request.generator(), violations);
  if (!request.has_classifier()) violations.Add("classifier", "is required");
  CheckCount(request.rows_per_label(), kMaxRowsPerLabel, "rows_per_label",
             violations);
  CheckAskedLabels(request, violations);
  if (request.text_field().size() > kMaxLabelBytes) {
    violations.Add("text_field",
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  CheckCount(request.num_demonstrations(), kMaxShownRows, "num_demonstrations",
             violations);
  const double min_score = request.min_score().value();
  if (min_score < 0 || min_score > 1) {
    violations.Add("min_score", Concat("is ", min_score, "; 0 to 1"));
  }
  CheckCount(request.max_attempts_per_row(), kMaxAttemptsPerRow,
             "max_attempts_per_row", violations);
  CheckSampling(request.decoding(), violations);
  return violations.ToStatus();
}

absl::StatusOr<EngineAugmentHeader> MakeAugmentHeader(
    const v1::AugmentDatasetRequest& request,
    worker::v1::EngineTarget classifier) {
  const v1::TaskSpec& task = classifier.task();
  if (task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION || task.multi_label()) {
    return InvalidField(
        "classifier",
        Concat("its task is ", v1::TaskType_Name(task.type()),
               task.multi_label() ? " with multi_label" : "",
               "; a classification by one label is needed, whose answer tells "
               "whether a text has the label that it was written for"));
  }
  EngineAugmentHeader header;
  header.set_generator(request.has_generator()
                           ? request.generator().base().model()
                           : classifier.model());
  *header.mutable_classifier() = std::move(classifier);
  ATTUNE_RETURN_IF_ERROR(SetLabels(request, header));
  header.set_rows_per_label(
      OrUsual(request.rows_per_label(), kDefaultRowsPerLabel));
  if (CountWantedRows(header) > kMaxAugmentedRows) {
    return InvalidField(
        "rows_per_label",
        Concat("is ", header.rows_per_label(), " for ", header.labels_size(),
               " labels; at most ", kMaxAugmentedRows,
               " rows over all labels are allowed"));
  }
  header.set_text_field(request.text_field());
  header.set_num_demonstrations(
      OrUsual(request.num_demonstrations(), kDefaultShownRows));
  header.set_min_score(request.has_min_score() ? request.min_score().value()
                                               : kDefaultMinScore);
  header.set_max_attempts_per_row(
      OrUsual(request.max_attempts_per_row(), kDefaultAttemptsPerRow));
  SetDecoding(request.decoding(), *header.mutable_decoding());
  header.set_seed(request.seed());
  return header;
}

int64_t CountWantedRows(const EngineAugmentHeader& header) {
  return int64_t{header.labels_size()} * header.rows_per_label();
}

}  // namespace attune::server
