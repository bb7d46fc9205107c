#include "server/api/tuning_checks.h"

#include <algorithm>
#include <set>
#include <string>

#include "proto/cc/resource_names.h"
#include "proto/cc/text.h"
#include "server/api/task_checks.h"
#include "server/api/training_checks.h"
#include "server/api/unsupported.h"

namespace attune::server {
namespace {

constexpr char kSpec[] = "tuning_job.spec";

void CheckAnnotations(const v1::TuningJob& job, FieldViolations& violations) {
  constexpr char kPath[] = "tuning_job.annotations";
  if (job.annotations_size() > kMaxAnnotations) {
    violations.Add(kPath, Concat("has ", job.annotations_size(),
                                 " entries; at most ", kMaxAnnotations));
    return;
  }
  size_t total = 0;
  for (const auto& [key, value] : job.annotations()) {
    total += key.size() + value.size();
    const std::string path = Concat(kPath, "[\"", key, "\"]");
    if (key.empty() || key.size() > kMaxAnnotationKeyBytes) {
      violations.Add(path, Concat("the key has ", key.size(), " bytes; 1 to ",
                                  kMaxAnnotationKeyBytes));
    }
    if (value.size() > kMaxAnnotationValueBytes) {
      violations.Add(path,
                     Concat("the value has ", value.size(), " bytes; at most ",
                            kMaxAnnotationValueBytes));
    }
  }
  if (total > kMaxAnnotationsBytes) {
    violations.Add(kPath, Concat("has ", total, " bytes in all; at most ",
                                 kMaxAnnotationsBytes));
  }
}

// What a split gets: 0 stands for the default.
double FractionOf(double given) {
  return given == 0 ? kDefaultSplitFraction : given;
}

double SumOf(const v1::SplitFractions& fractions) {
  return FractionOf(fractions.validation()) + FractionOf(fractions.test());
}

void CheckFraction(double fraction, const std::string& path,
                   FieldViolations& violations) {
  if (fraction >= 0 && fraction <= 1) return;
  violations.Add(path, Concat("is ", fraction, "; 0 to 1 are allowed"));
}

void CheckData(const v1::TuningData& data, FieldViolations& violations) {
  const std::string path = Concat(kSpec, ".data");
  switch (data.source_case()) {
    case v1::TuningData::kDataset:
      violations.AddAll("", ParseResourceName(kDatasetCollection,
                                              data.dataset(), path + ".dataset")
                                .status());
      break;
    case v1::TuningData::kInline:
      if (data.inline_().rows().empty()) {
        violations.Add(path + ".inline.rows", "is required: there are no rows");
      }
      break;
    case v1::TuningData::SOURCE_NOT_SET:
      violations.Add(path, "is required: set dataset or inline");
  }
  if (!data.has_fractions()) return;
  const v1::SplitFractions& fractions = data.fractions();
  CheckFraction(fractions.validation(), path + ".fractions.validation",
                violations);
  CheckFraction(fractions.test(), path + ".fractions.test", violations);
  if (SumOf(fractions) > 1) {
    violations.Add(path + ".fractions",
                   Concat("validation and test together are ", SumOf(fractions),
                          "; at most 1 is allowed, and one "
                          "that is 0 counts as ",
                          kDefaultSplitFraction));
  }
}

void CheckAliases(const v1::TuningJobSpec& spec, FieldViolations& violations) {
  const std::string path = Concat(kSpec, ".aliases");
  if (spec.aliases_size() > kMaxAliases) {
    violations.Add(path, Concat("has ", spec.aliases_size(),
                                " aliases; at most ", kMaxAliases));
    return;
  }
  std::set<std::string> seen;
  for (int i = 0; i < spec.aliases_size(); ++i) {
    const std::string& alias = spec.aliases(i);
    const std::string alias_path = Concat(path, "[", i, "]");
    if (!IsResourceId(alias)) {
      violations.Add(alias_path,
                     Concat("'", alias,
                            "' is not 1 to 63 of a-z, 0-9 and '-', starting "
                            "with a letter and not ending in '-'"));
    } else if (!seen.insert(alias).second) {
      violations.Add(alias_path, Concat("'", alias, "' is there twice"));
    }
  }
}

// What a hard prompt makes of demonstrations that the task names itself.
void CheckOwnDemonstrations(const v1::TuningJobSpec& spec,
                            FieldViolations& violations) {
  const v1::HardPrompt& method = spec.method().hard_prompt();
  const int nearest = spec.task().num_nearest_demonstrations();
  const int given = spec.task().demonstrations_size();
  const int shown = nearest > 0 ? nearest : given;
  const int asked = method.num_demonstrations();
  if (asked > 0 && given > 0 && asked != shown) {
    violations.Add(Concat(kSpec, ".method.hard_prompt.num_demonstrations"),
                   Concat("is ", asked, ", but inputs get ", shown,
                          " of the demonstrations that the task names: leave "
                          "it 0"));
  }
  const bool is_nearest =
      method.selection() == v1::HardPrompt::SELECTION_NEAREST;
  if (is_nearest && given > 0 && nearest == 0) {
    violations.Add(Concat(kSpec, ".task.num_nearest_demonstrations"),
                   "is required: it says how many of the demonstrations that "
                   "the task names SELECTION_NEAREST shows");
  }
  if (nearest > 0 && !is_nearest &&
      method.selection() != v1::HardPrompt::SELECTION_UNSPECIFIED) {
    violations.Add(Concat(kSpec, ".method.hard_prompt.selection"),
                   "is SELECTION_NEAREST where the task has "
                   "num_nearest_demonstrations: leave it out");
  }
}

// What a search makes of the task. A head and rows at markers are refused for
// every hard prompt, and what is left are the tasks that a search is for.
void CheckSearchOfTask(const v1::TuningJobSpec& spec,
                       FieldViolations& violations) {
  const std::string path = Concat(kSpec, ".method.hard_prompt.template_search");
  const v1::TemplateSearch& search =
      spec.method().hard_prompt().template_search();
  if (!spec.task().demonstrations().empty()) {
    violations.Add(path,
                   "compares templates without demonstrations: leave out those "
                   "of the task, and num_demonstrations chooses some for the "
                   "template that is kept");
  }
  if (!spec.task().more_templates().empty()) {
    violations.Add(path,
                   "makes an ensemble of its own: leave out the task's "
                   "more_templates, and ensemble_size says how many may "
                   "answer together");
  }
  const int count = std::min(search.templates_size(), kMaxSearchTemplates);
  for (int i = 0; i < count; ++i) {
    if (search.templates(i) != spec.task().template_()) continue;
    // An empty one is refused as such.
    if (search.templates(i).empty()) continue;
    violations.Add(Concat(path, ".templates[", i, "]"),
                   "is the task's own, which is compared anyway");
  }
}

void CheckHardPrompt(const v1::TuningJobSpec& spec,
                     FieldViolations& violations) {
  v1::TrainingConfig others = spec.training();
  others.clear_seed();
  others.clear_precision();
  if (others.ByteSizeLong() > 0) {
    violations.Add(Concat(kSpec, ".training"),
                   "a hard prompt trains nothing: only seed and precision may "
                   "be set");
  }
  CheckOwnDemonstrations(spec, violations);
  if (spec.method().hard_prompt().has_template_search()) {
    CheckSearchOfTask(spec, violations);
  }
  if (NeedsHead(spec.task())) {
    violations.Add(Concat(kSpec, ".method.hard_prompt"),
                   "trains nothing, but the task needs a head that is trained: "
                   "choose method head or any other");
  }
}

void CheckSpec(const v1::TuningJobSpec& spec, FieldViolations& violations) {
  const auto at = [](std::string_view field) {
    return Concat(kSpec, ".", field);
  };
  violations.AddAll(
      "", ParseResourceName(kPromptCollection, spec.prompt(), at("prompt"))
              .status());
  violations.AddAll("", ParseResourceName(kModelCollection, spec.base_model(),
                                          at("base_model"))
                            .status());
  CheckData(spec.data(), violations);
  if (!spec.has_task()) {
    violations.Add(at("task"), "is required");
  } else {
    CheckTask(spec.task(), /*labels_required=*/false, at("task"), violations);
  }
  if (spec.task().prompt_placement() == v1::PROMPT_PLACEMENT_MARKERS &&
      spec.method().method_case() != v1::TuningMethod::METHOD_NOT_SET &&
      !spec.method().has_prompt_tuning()) {
    violations.Add(at("task.prompt_placement"),
                   "PROMPT_PLACEMENT_MARKERS places the rows of a soft prompt: "
                   "choose method prompt_tuning, or leave it out");
  }
  if (!spec.task().more_templates().empty() &&
      !spec.method().has_hard_prompt()) {
    violations.Add(at("task.more_templates"),
                   "an ensemble trains nothing: choose method hard_prompt, or "
                   "leave them out");
  }
  const v1::TaskType task = spec.task().type();
  CheckMethod(spec.method(), task, at("method"), violations);
  CheckTraining(spec.training(), at("training"), violations);
  if (spec.training().stratify_labels().value() &&
      (task != v1::TASK_TYPE_TEXT_CLASSIFICATION ||
       spec.task().multi_label())) {
    violations.Add(at("training.stratify_labels"),
                   "is for text classification with one label a row");
  }
  if (spec.training().label_smoothing() > 0 &&
      (spec.task().multi_label() || task == v1::TASK_TYPE_REGRESSION)) {
    violations.Add(at("training.label_smoothing"),
                   "is not for multi_label and regression");
  }
  if (spec.method().has_hard_prompt()) CheckHardPrompt(spec, violations);
  CheckEvaluation(spec.evaluation(), spec.task(), at("evaluation"), violations);
  CheckAliases(spec, violations);
}

}  // namespace

absl::Status CheckCreateTuningJob(const v1::CreateTuningJobRequest& request) {
  return FindViolations(request).ToStatus();
}

FieldViolations FindViolations(const v1::CreateTuningJobRequest& request) {
  FieldViolations violations;
  CheckSupported(request, "", violations);
  if (!request.tuning_job_id().empty()) {
    CheckNewId(request.tuning_job_id(), "tuning_job_id", violations);
  }
  if (!request.has_tuning_job()) {
    violations.Add("tuning_job", "is required");
    return violations;
  }
  CheckDisplayName(request.tuning_job().display_name(),
                   "tuning_job.display_name", violations);
  CheckAnnotations(request.tuning_job(), violations);
  if (!request.tuning_job().has_spec()) {
    violations.Add(kSpec, "is required");
  } else {
    CheckSpec(request.tuning_job().spec(), violations);
  }
  return violations;
}

absl::Status CheckSplits(const v1::TuningData& data, const PinnedRows& rows) {
  const auto count = [&rows](const char* split) -> int64_t {
    const auto found = rows.split_rows.find(split);
    return found == rows.split_rows.end() ? 0 : found->second;
  };
  const bool without_rest = SumOf(data.fractions()) >= 1 &&
                            count("validation") == 0 && count("test") == 0;
  if (count("train") + count("") > 0 && !without_rest) {
    return absl::OkStatus();
  }
  return MakeError(Reason::kIllegalState,
                   Concat("none of the ", rows.snapshot.num_rows(),
                          " rows is for training: append rows with the split "
                          "\"train\" or without one, or lower the fractions"),
                   {{"field", Concat(kSpec, ".data")}});
}

void CheckNewId(std::string_view id, std::string_view path,
                FieldViolations& violations) {
  if (IsResourceId(id)) return;
  violations.Add(path, Concat("'", id,
                              "' is not 1 to 63 of a-z, 0-9 and '-', starting "
                              "with a letter and not ending in '-'"));
}

void CheckDisplayName(std::string_view text, std::string_view path,
                      FieldViolations& violations) {
  const auto characters =
      std::count_if(text.begin(), text.end(),
                    [](unsigned char c) { return (c & 0xC0) != 0x80; });
  if (characters > kMaxDisplayNameCharacters) {
    violations.Add(path, Concat("has ", characters, " characters; at most ",
                                kMaxDisplayNameCharacters));
  }
}

}  // namespace attune::server
