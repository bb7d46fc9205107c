#include "worker/tuning/defaults.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_contract.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/training_defaults.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationConfig;
using attune::v1::HardPrompt;
using attune::v1::PrefixTuning;
using attune::v1::PromptTuning;
using attune::v1::TaskSpec;
using attune::v1::TrainingConfig;
using attune::v1::TuningJobSpec;
using attune::v1::TuningMethod;

constexpr int kDefaultVirtualTokens = 20;
constexpr int kMaxVirtualTokens = 1024;
constexpr size_t kMaxInitTextBytes = 16'384;
constexpr int kDefaultEncoderWidth = 512;
// Its two directions together are as wide as the other networks.
constexpr int kDefaultLstmWidth = 256;
constexpr int kMaxEncoderWidth = 8'192;
constexpr int kMaxTemplates = 64;
constexpr int kDefaultGenerated = 8;
constexpr int kMaxGenerated = 64;
constexpr int kMaxEnsembleSize = 8;

bool IsClassification(const TaskSpec& task) {
  return task.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION;
}

// Resolves one spec. Made for one call of ResolveSpec.
class Resolver {
 public:
  Resolver(const TuningJobSpec& spec, const JobFacts& facts)
      : spec_(spec), facts_(facts) {}

  absl::StatusOr<TuningJobSpec> Run() {
    if (spec_.data().has_inline_()) {
      spec_.mutable_data()->mutable_inline_()->clear_rows();
    }
    FillDataDefaults(*spec_.mutable_data());
    ResolveMethod();
    if (!spec_.method().has_hard_prompt()) {
      ResolveTraining(spec_.method(), spec_.task(), facts_,
                      *spec_.mutable_training(), violations_);
    }
    ResolveEvaluation();
    ATTUNE_RETURN_IF_ERROR(violations_.ToStatus());
    ATTUNE_RETURN_IF_ERROR(ResolvePrecision());
    return std::move(spec_);
  }

 private:
  TrainingConfig& training() { return *spec_.mutable_training(); }

  void Require(bool holds, std::string_view path, std::string_view rule) {
    if (!holds) violations_.Add(path, rule);
  }

  void ResolveMethod() {
    TuningMethod& method = *spec_.mutable_method();
    if (method.method_case() == TuningMethod::METHOD_NOT_SET) {
      method.mutable_prompt_tuning();
    }
    if (method.has_prompt_tuning()) {
      ResolvePromptTuning(*method.mutable_prompt_tuning());
    } else if (method.has_prefix_tuning()) {
      ResolvePrefixTuning(*method.mutable_prefix_tuning());
    } else if (method.has_head()) {
      ResolveHead(method.head());
    } else if (method.has_hard_prompt()) {
      ResolveHardPrompt(*method.mutable_hard_prompt());
    }
    Require(method.has_hard_prompt() || spec_.task().more_templates().empty(),
            "spec.task.more_templates",
            "answer together only where nothing is trained: choose method "
            "hard_prompt, or leave them out");
  }

  void ResolveHardPrompt(HardPrompt& hard) {
    const std::string path = "spec.method.hard_prompt";
    Require(spec_.task().label_scoring() != attune::v1::LABEL_SCORING_HEAD,
            path,
            "trains nothing, but the task's labels need a head that is "
            "trained: choose method head or any other");
    const int given = spec_.task().demonstrations_size();
    const int nearest = spec_.task().num_nearest_demonstrations();
    // Of those that the task names stand before an input.
    const int shown = nearest > 0 ? nearest : given;
    if (given > 0 && hard.num_demonstrations() == 0) {
      hard.set_num_demonstrations(shown);
    }
    Require(hard.num_demonstrations() >= 0 &&
                hard.num_demonstrations() <= kMaxDemonstrations,
            path + ".num_demonstrations", "must be 0 to 256");
    Require(given == 0 || hard.num_demonstrations() == shown,
            path + ".num_demonstrations",
            Concat("must be 0 where the task names ", given,
                   " demonstrations itself"));
    ResolveSelection(path + ".selection", hard);
    if (hard.has_template_search()) {
      ResolveTemplateSearch(path + ".template_search",
                            *hard.mutable_template_search());
    }
    TrainingConfig others = training();
    others.clear_seed();
    others.clear_precision();
    Require(others.ByteSizeLong() == 0, "spec.training",
            "a hard prompt trains nothing: only seed and precision may be set");
  }

  void ResolveTemplateSearch(const std::string& path,
                             attune::v1::TemplateSearch& search) {
    const bool classifies = IsClassification(spec_.task());
    const attune::v1::TaskType type = spec_.task().type();
    Require(classifies || type == attune::v1::TASK_TYPE_TEXT_GENERATION ||
                type == attune::v1::TASK_TYPE_MULTIPLE_CHOICE,
            path,
            "is for a classification by one label, a multiple choice or a "
            "generation");
    Require(spec_.task().demonstrations().empty(), path,
            "compares templates without demonstrations: leave "
            "task.demonstrations out and let num_demonstrations choose them");
    Require(spec_.task().more_templates().empty(), path,
            "finds out itself which templates answer together: leave "
            "task.more_templates out and set ensemble_size");
    const int most =
        type == attune::v1::TASK_TYPE_TEXT_GENERATION ? 1 : kMaxEnsembleSize;
    Require(search.ensemble_size() >= 0 && search.ensemble_size() <= most,
            path + ".ensemble_size", Concat("must be 0 to ", most));
    Require(search.templates_size() <= kMaxTemplates, path + ".templates",
            Concat("at most ", kMaxTemplates));
    if (!search.has_num_generated()) {
      search.set_num_generated(facts_.is_encoder ? 0 : kDefaultGenerated);
    }
    Require(
        search.num_generated() >= 0 && search.num_generated() <= kMaxGenerated,
        path + ".num_generated", Concat("must be 0 to ", kMaxGenerated));
    Require(!facts_.is_encoder || search.num_generated() == 0,
            path + ".num_generated",
            "must be 0: the base model is an encoder, which writes no text");
    Require(classifies || !search.label_words(), path + ".label_words",
            "is for a classification");
  }

  void ResolveSelection(const std::string& path, HardPrompt& hard) {
    const bool classifies = IsClassification(spec_.task());
    const bool names_any = !spec_.task().demonstrations().empty();
    const bool names_pool = spec_.task().num_nearest_demonstrations() > 0;
    if (hard.selection() == HardPrompt::SELECTION_UNSPECIFIED) {
      hard.set_selection(names_pool   ? HardPrompt::SELECTION_NEAREST
                         : classifies ? HardPrompt::SELECTION_BALANCED
                                      : HardPrompt::SELECTION_RANDOM);
    }
    Require(HardPrompt::Selection_IsValid(hard.selection()), path,
            "is unknown");
    Require(hard.selection() != HardPrompt::SELECTION_BALANCED || classifies,
            path, "SELECTION_BALANCED needs a classification");
    const bool is_nearest = hard.selection() == HardPrompt::SELECTION_NEAREST;
    Require(!names_pool || is_nearest, path,
            "must be SELECTION_NEAREST or left out beside "
            "task.num_nearest_demonstrations");
    Require(!is_nearest || !names_any || names_pool, path,
            "SELECTION_NEAREST among demonstrations that the task names needs "
            "task.num_nearest_demonstrations");
  }

  void ResolveHead(const attune::v1::Head& head) {
    Require(spec_.task().label_scoring() == attune::v1::LABEL_SCORING_HEAD,
            "spec.method.head",
            "trains nothing where no head scores: needs "
            "task.label_scoring LABEL_SCORING_HEAD");
    Require(head.dropout() == 0, "spec.method.head.dropout", "must be 0");
  }

  void ResolvePromptTuning(PromptTuning& tuning) {
    const std::string path = "spec.method.prompt_tuning.";
    ResolveRows(tuning, path);
    Require(tuning.initialisation() != PromptTuning::INITIALISATION_ZERO,
            path + "initialisation",
            "INITIALISATION_ZERO is only for prefix_tuning: rows of zeros are "
            "far from everything that the model was made for");
    if (tuning.reparameterisation() ==
        PromptTuning::REPARAMETERISATION_UNSPECIFIED) {
      tuning.set_reparameterisation(PromptTuning::REPARAMETERISATION_NONE);
    }
    Require(
        PromptTuning::Reparameterisation_IsValid(tuning.reparameterisation()),
        path + "reparameterisation", "is unknown");
    const auto network = tuning.reparameterisation();
    ResolveEncoderWidth(network != PromptTuning::REPARAMETERISATION_NONE,
                        network == PromptTuning::REPARAMETERISATION_LSTM
                            ? kDefaultLstmWidth
                            : kDefaultEncoderWidth,
                        path, tuning);
  }

  void ResolvePrefixTuning(PrefixTuning& tuning) {
    const std::string path = "spec.method.prefix_tuning.";
    ResolveRows(tuning, path);
    ResolveEncoderWidth(tuning.projection(), kDefaultEncoderWidth, path,
                        tuning);
    const int64_t layers = facts_.num_layers;
    const int64_t left = layers - tuning.first_layer();
    if (tuning.first_layer() < 0 || left < 1) {
      violations_.Add(path + "first_layer",
                      Concat("must be 0 to ", layers - 1, " for a model with ",
                             layers, " layers"));
      return;
    }
    if (tuning.num_layers() == 0) {
      tuning.set_num_layers(static_cast<int>(left));
    }
    Require(
        tuning.num_layers() >= 1 && tuning.num_layers() <= left,
        path + "num_layers",
        Concat("must be 0 or 1 to ", left, ", the layers from first_layer on"));
  }

  // How wide the network is that helps, if one does. Tuning: PromptTuning or
  // PrefixTuning.
  template <typename Tuning>
  void ResolveEncoderWidth(bool has_network, int widest_default,
                           const std::string& path, Tuning& tuning) {
    if (!has_network) {
      Require(!tuning.has_encoder_hidden_size(), path + "encoder_hidden_size",
              "goes with a network and only with one");
      return;
    }
    if (!tuning.has_encoder_hidden_size()) {
      tuning.set_encoder_hidden_size(static_cast<int>(
          std::min<int64_t>(widest_default, facts_.embedding_dim)));
    }
    Require(tuning.encoder_hidden_size() >= 1 &&
                tuning.encoder_hidden_size() <= kMaxEncoderWidth,
            path + "encoder_hidden_size", "must be 1 to 8,192");
  }

  template <typename Tuning>
  PromptTuning::Initialisation DefaultInitialisation(
      const Tuning& tuning) const {
    if (!tuning.init_text().empty()) return PromptTuning::INITIALISATION_TEXT;
    if (!tuning.init_version().empty()) {
      return PromptTuning::INITIALISATION_VERSION;
    }
    return IsClassification(spec_.task())
               ? PromptTuning::INITIALISATION_CLASS_LABELS
               : PromptTuning::INITIALISATION_SAMPLED_VOCABULARY;
  }

  // How many rows there are and where they start. Tuning: PromptTuning or
  // PrefixTuning.
  template <typename Tuning>
  void ResolveRows(Tuning& tuning, const std::string& path) {
    const int longest = static_cast<int>(
        std::min<int64_t>(kMaxVirtualTokens, facts_.context_length / 2));
    if (!tuning.has_num_virtual_tokens()) {
      tuning.set_num_virtual_tokens(std::min(kDefaultVirtualTokens, longest));
    }
    Require(tuning.num_virtual_tokens() >= 1 &&
                tuning.num_virtual_tokens() <= longest,
            path + "num_virtual_tokens",
            Concat("must be 1 to ", longest, " for a model with a context of ",
                   facts_.context_length));
    if (tuning.initialisation() == PromptTuning::INITIALISATION_UNSPECIFIED) {
      tuning.set_initialisation(DefaultInitialisation(tuning));
    }
    Require(PromptTuning::Initialisation_IsValid(tuning.initialisation()),
            path + "initialisation", "is unknown");
    const bool from_version =
        tuning.initialisation() == PromptTuning::INITIALISATION_VERSION;
    Require(from_version == !tuning.init_version().empty(),
            path + "init_version",
            "goes with INITIALISATION_VERSION and only with it");
    const bool from_text =
        tuning.initialisation() == PromptTuning::INITIALISATION_TEXT;
    Require(from_text == !tuning.init_text().empty(), path + "init_text",
            "goes with INITIALISATION_TEXT and only with it");
    Require(tuning.init_text().size() <= kMaxInitTextBytes, path + "init_text",
            "must have at most 16,384 bytes");
    Require(IsClassification(spec_.task()) ||
                tuning.initialisation() !=
                    PromptTuning::INITIALISATION_CLASS_LABELS,
            path + "initialisation",
            "INITIALISATION_CLASS_LABELS needs a classification");
  }

  void ResolveEvaluation() {
    EvaluationConfig& evaluation = *spec_.mutable_evaluation();
    const std::vector<std::string> metrics = TaskMetrics(spec_.task());
    if (metrics.empty()) return;  // the type itself is refused
    if (evaluation.metric().empty()) evaluation.set_metric(metrics.front());
    Require(std::find(metrics.begin(), metrics.end(), evaluation.metric()) !=
                metrics.end(),
            "spec.evaluation.metric",
            Concat("must be one of ", absl::StrJoin(metrics, ", "),
                   " for this task"));
    Require(evaluation.max_test_rows() >= 0, "spec.evaluation.max_test_rows",
            "must be at least 0");
    Require(evaluation.max_validation_rows() >= 0,
            "spec.evaluation.max_validation_rows", "must be at least 0");
  }

  absl::Status ResolvePrecision() {
    const bool is_fp32 = facts_.dtype == c10::ScalarType::Float;
    const TrainingConfig::Precision actual =
        is_fp32 ? TrainingConfig::PRECISION_FP32
                : TrainingConfig::PRECISION_BF16;
    const TrainingConfig::Precision asked = training().precision();
    if (asked != TrainingConfig::PRECISION_UNSPECIFIED &&
        asked != TrainingConfig::PRECISION_AUTO && asked != actual) {
      return MakeError(
          Reason::kIllegalState,
          Concat("spec.training.precision asks for ",
                 TrainingConfig::Precision_Name(asked),
                 ", but this worker runs ", is_fp32 ? "fp32" : "bf16",
                 ": start a worker with another --dtype, or leave it open"));
    }
    training().set_precision(actual);
    return absl::OkStatus();
  }

  TuningJobSpec spec_;
  const JobFacts& facts_;
  FieldViolations violations_;
};

}  // namespace

absl::StatusOr<TuningJobSpec> ResolveSpec(const TuningJobSpec& spec,
                                          const JobFacts& facts) {
  return Resolver(spec, facts).Run();
}

int NumVirtualTokens(const TuningMethod& method) {
  return method.has_prefix_tuning()
             ? method.prefix_tuning().num_virtual_tokens()
             : method.prompt_tuning().num_virtual_tokens();
}

}  // namespace attune::worker
