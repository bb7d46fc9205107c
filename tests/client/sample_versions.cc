#include "tests/client/sample_versions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr int64_t kRowsOfLabel = 25;

// 0 to 1, as random as a picture needs.
double Noise(int i) {
  const double x = std::sin(i * 12.9898 + 4.1) * 43758.5453;
  return x - std::floor(x);
}

std::string LabelName(int i) {
  constexpr std::array kWhat = {"card",    "transfer", "top_up",  "account",
                                "payment", "currency", "identity"};
  constexpr std::array kHow = {
      "arrival",      "lost",        "fee",
      "declined",     "pending",     "limits",
      "refund",       "not_working", "wrong_amount_received",
      "verification", "cancelled"};
  return Concat(kWhat[i % kWhat.size()], "_",
                kHow[i / kWhat.size() % kHow.size()]);
}

void SetMetric(v1::EvaluationReport& report, const std::string& name,
               double value, double half_width) {
  if (name == "loss") {
    report.set_loss(value);
  } else {
    (*report.mutable_metrics())[name] = value;
  }
  v1::MetricInterval& interval = (*report.mutable_intervals())[name];
  interval.set_low(value - half_width);
  interval.set_high(value + half_width);
}

void AddSeries(v1::TuningReport& report, const std::string& name, int points,
               int interval, double first, double last, double noise) {
  v1::TrainingSeries& series = *report.add_series();
  series.set_name(name);
  for (int i = 0; i < points; ++i) {
    const double left = std::exp(-5.0 * i / points);
    series.add_steps((i + 1) * interval);
    series.add_values(last + (first - last) * left +
                      noise * (Noise(i * 7 + points) - 0.5));
  }
}

// The course of 400 steps.
void AddTraining(v1::TuningReport& report, const std::string& metric) {
  report.set_num_steps(400);
  report.set_best_step(320);
  report.set_validation_metric_name(metric);
  report.set_best_validation_metric(0.91);
  report.set_num_trained_tokens(1234567);
  report.set_training_seconds(133.4);
  report.set_stop_reason(v1::TuningReport::STOP_REASON_EARLY_STOPPING);
  report.mutable_split_counts()->set_train(1200);
  report.mutable_split_counts()->set_validation(150);
  report.mutable_split_counts()->set_test(100);
  AddSeries(report, "loss", 200, 2, 2.4, 0.25, 0.2);
  AddSeries(report, "learning_rate", 200, 2, 0.003, 0, 0);
  AddSeries(report, "grad_norm", 200, 2, 3, 0.6, 0.8);
  AddSeries(report, "validation_loss", 10, 40, 2.2, 0.34, 0.05);
  AddSeries(report, Concat("validation_", metric), 10, 40, 0.2, 0.9, 0.03);
}

v1::PromptVersion Version(v1::TaskType type, const std::string& prompt) {
  v1::PromptVersion version;
  version.set_name(Concat("prompts/", prompt, "/versions/3"));
  version.set_base_model("models/smollm2-135m-instruct");
  version.set_model_fingerprint(std::string(64, 'f'));
  version.mutable_task()->set_type(type);
  version.mutable_task()->set_template_("Customer: {{ text }}\nAnswer:");
  version.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(20);
  version.mutable_method()->mutable_prompt_tuning()->set_initialisation(
      v1::PromptTuning::INITIALISATION_CLASS_LABELS);
  version.mutable_snapshot()->set_dataset("datasets/rows");
  version.mutable_snapshot()->set_num_rows(1450);
  version.mutable_snapshot()->set_digest(std::string(64, 'd'));
  version.set_tuning_job("tuningJobs/tour");
  version.set_artifact_digest(std::string(64, 'a'));
  version.add_aliases("latest");
  version.mutable_create_time()->set_seconds(1704067200);
  v1::ArtifactFile& file = *version.add_files();
  file.set_name("adapter_model.safetensors");
  file.set_size_bytes(46208);
  file.set_sha256(std::string(64, '5'));
  return version;
}

// Answers of which about `right` of 1 are right.
void AddMatrix(v1::EvaluationReport& report,
               const std::vector<std::string>& labels, double right) {
  v1::ConfusionMatrix& matrix = *report.mutable_confusion_matrix();
  const int size = static_cast<int>(labels.size());
  matrix.mutable_labels()->Assign(labels.begin(), labels.end());
  matrix.mutable_counts()->Resize(size * size, 0);
  for (int i = 0; i < size; ++i) {
    for (int64_t row = 0; row < kRowsOfLabel; ++row) {
      const int seed = static_cast<int>(i * kRowsOfLabel + row);
      int answered = i;
      if (Noise(seed) > right) {
        // Errors go to a few neighbours, as they do.
        const double far = Noise(seed + 5000);
        answered = (i + 1 + static_cast<int>(far * far * size)) % size;
      }
      const int at = i * size + answered;
      matrix.set_counts(at, matrix.counts(at) + 1);
    }
  }
}

void AddClasses(const std::vector<std::string>& labels, double level,
                google::protobuf::RepeatedPtrField<v1::ClassReport>& classes) {
  for (size_t i = 0; i < labels.size(); ++i) {
    v1::ClassReport& one = *classes.Add();
    one.set_label(labels[i]);
    const int seed = static_cast<int>(i) * 3;
    one.set_precision(std::min(1.0, level + 0.2 * (Noise(seed) - 0.5)));
    one.set_recall(std::min(1.0, level + 0.2 * (Noise(seed + 1) - 0.5)));
    one.set_f1(2 * one.precision() * one.recall() /
               (one.precision() + one.recall()));
    one.set_support(kRowsOfLabel);
  }
}

void AddReliability(v1::EvaluationReport& report, int first_bin, double gap,
                    int64_t num_rows) {
  for (int i = first_bin; i < 10; ++i) {
    v1::ReliabilityBin& bin = *report.add_reliability();
    bin.set_confidence(0.1 * i + 0.055);
    bin.set_accuracy(
        std::clamp(bin.confidence() - gap + 0.1 * (Noise(i) - 0.5), 0.0, 1.0));
    bin.set_num_rows(1 + num_rows * (i - first_bin) * (i - first_bin) / 60);
  }
}

void AddExample(v1::TuningReport& report, int64_t row, const std::string& input,
                const std::vector<std::string>& answers) {
  v1::ChangedExample& example = *report.add_changed_examples();
  example.set_row(row);
  example.set_input(input);
  example.set_right_answer(answers[0]);
  example.set_before(answers[1]);
  example.set_after(answers[2]);
  example.set_was_right(answers[1] == answers[0]);
  example.set_is_right(answers[2] == answers[0]);
}

void Compare(v1::TuningReport& report, const std::string& metric,
             double improvement, double half_width, double p_value) {
  v1::VersionComparison& comparison = *report.mutable_comparison();
  comparison.set_metric(metric);
  comparison.set_improvement(improvement);
  comparison.mutable_interval()->set_low(improvement - half_width);
  comparison.mutable_interval()->set_high(improvement + half_width);
  comparison.set_p_value(p_value);
  comparison.set_test(metric == "accuracy"
                          ? v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR
                          : v1::VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
}

// Splits of even labels, and a row that was cut.
void AddData(v1::TuningReport& report, const std::vector<std::string>& labels) {
  for (const char* name : {"train", "validation", "test"}) {
    const bool train = name == std::string("train");
    const int64_t rows_of_label = train ? 100 : 10;
    v1::SplitSummary& split = *report.add_splits();
    split.set_split(name);
    split.set_num_rows(static_cast<int64_t>(labels.size()) * rows_of_label);
    split.mutable_input_tokens()->set_median(20);
    split.mutable_input_tokens()->set_percentile_95(38);
    split.mutable_input_tokens()->set_max(64);
    split.set_num_truncated_rows(train ? 1 : 0);
    split.set_num_duplicate_rows(train ? 2 : 0);
    split.set_num_contradictory_rows(train ? 1 : 0);
    split.set_num_leaked_rows(name == std::string("test") ? 1 : 0);
    for (const std::string& label : labels) {
      v1::LabelCount& count = *split.add_labels();
      count.set_label(label);
      count.set_count(rows_of_label);
    }
  }
  v1::RenderedSample& sample = *report.add_samples();
  sample.set_split("test");
  sample.set_row(12);
  sample.set_input("Text: <b>where</b> is it?\nLabel:\x1b[31m");
  sample.set_answer(labels[0]);
  sample.set_num_tokens(20);
  sample.set_truncated(true);
}

}  // namespace

v1::PromptVersion ClassificationSample(int num_labels) {
  v1::PromptVersion version =
      Version(v1::TASK_TYPE_TEXT_CLASSIFICATION, "banking77-intent");
  std::vector<std::string> labels;
  for (int i = 0; i < num_labels; ++i) {
    labels.push_back(LabelName(i));
    v1::LabelWords& label = *version.mutable_task()->add_labels();
    label.set_label(labels.back());
    label.add_words(Concat("intent ", i));
    label.add_words(Concat("the intent ", i));
  }
  v1::TuningReport& report = *version.mutable_report();
  AddTraining(report, "accuracy");
  AddData(report, labels);
  struct Side {
    v1::EvaluationReport* evaluation;
    double level;
    double loss;
    int first_bin;
    double gap;
  };
  for (const Side& side : {Side{report.mutable_before(), 0.38, 2.31, 1, 0.14},
                           Side{report.mutable_after(), 0.91, 0.31, 3, 0.03}}) {
    v1::EvaluationReport& evaluation = *side.evaluation;
    evaluation.set_split("test");
    evaluation.set_num_rows(num_labels * kRowsOfLabel);
    SetMetric(evaluation, "accuracy", side.level, 0.06);
    SetMetric(evaluation, "macro_f1", side.level - 0.02, 0.07);
    SetMetric(evaluation, "weighted_f1", side.level - 0.01, 0.065);
    SetMetric(evaluation, "loss", side.loss, 0.1 + 0.1 * side.loss);
    AddMatrix(evaluation, labels, side.level);
    AddClasses(labels, side.level, *evaluation.mutable_classes());
    AddReliability(evaluation, side.first_bin, side.gap, evaluation.num_rows());
  }
  Compare(report, "accuracy", 0.53, 0.08, /*p_value=*/4e-11);
  report.mutable_comparison()->set_num_gained_rows(61);
  report.mutable_comparison()->set_num_lost_rows(8);
  AddExample(report, 3, "Where is my new card? It should have come last week.",
             {labels[0], labels[1], labels[0]});
  AddExample(report, 17,
             "Why was I charged <b>twice</b> for one payment & how "
             "do I get the money back?",
             {labels[1], labels[0], labels[1]});
  AddExample(report, 44, "My card", {labels[0], labels[0], labels[1]});
  return version;
}

v1::PromptVersion TaggingSample() {
  v1::PromptVersion version =
      Version(v1::TASK_TYPE_TOKEN_CLASSIFICATION, "entities");
  const std::vector<std::string> tags = {"O",     "B-PER", "I-PER", "B-LOC",
                                         "I-LOC", "B-ORG", "I-ORG"};
  for (const std::string& tag : tags) {
    version.mutable_task()->add_labels()->set_label(tag);
  }
  version.mutable_task()->set_tokens_field("tokens");
  version.mutable_task()->set_label_scoring(v1::LABEL_SCORING_HEAD);
  v1::TuningReport& report = *version.mutable_report();
  AddTraining(report, "micro_f1");
  v1::EvaluationReport& after = *report.mutable_after();
  after.set_split("test");
  after.set_num_rows(300);
  SetMetric(after, "accuracy", 0.973, 0.006);
  SetMetric(after, "micro_f1", 0.884, 0.02);
  SetMetric(after, "micro_precision", 0.87, 0.02);
  SetMetric(after, "micro_recall", 0.898, 0.018);
  SetMetric(after, "loss", 0.11, 0.015);
  AddMatrix(after, tags, 0.9);
  AddClasses({"LOC", "ORG", "PER"}, 0.88, *after.mutable_classes());
  AddClasses(tags, 0.9, *after.mutable_tags());
  return version;
}

v1::PromptVersion GenerationSample() {
  v1::PromptVersion version = Version(v1::TASK_TYPE_TEXT_GENERATION, "titles");
  v1::TuningReport& report = *version.mutable_report();
  report.set_num_steps(50);
  report.set_best_step(50);
  report.set_validation_metric_name("loss");
  report.set_stop_reason(v1::TuningReport::STOP_REASON_MAX_STEPS);
  v1::EvaluationReport& after = *report.mutable_after();
  after.set_split("test");
  after.set_num_rows(80);
  SetMetric(after, "exact_match", 0.31, 0.1);
  SetMetric(after, "loss", 1.62, 0.2);
  return version;
}

v1::PromptVersion RegressionSample() {
  v1::PromptVersion version = Version(v1::TASK_TYPE_REGRESSION, "ratings");
  v1::TuningReport& report = *version.mutable_report();
  AddTraining(report, "pearson");
  struct Side {
    v1::EvaluationReport* evaluation;
    double pearson;
    double error;
  };
  for (const Side& side : {Side{report.mutable_before(), -0.05, 1.9},
                           Side{report.mutable_after(), 0.83, 0.6}}) {
    side.evaluation->set_split("test");
    side.evaluation->set_num_rows(200);
    SetMetric(*side.evaluation, "pearson", side.pearson, 0.06);
    SetMetric(*side.evaluation, "mae", side.error, 0.1);
    SetMetric(*side.evaluation, "loss", side.error * side.error, 0.2);
  }
  Compare(report, "loss", 3.25, 0.4, /*p_value=*/0.001);
  return version;
}

}  // namespace attune::client
