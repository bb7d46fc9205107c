#ifndef ATTUNE_CLIENT_COMMANDS_REPORT_FIGURES_H_
#define ATTUNE_CLIENT_COMMANDS_REPORT_FIGURES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/prompt_service.pb.h"
#include "attune/v1/report.pb.h"

// What an evaluation says, in numbers and sentences, for tables of text and for
// the page alike. Pure functions; a pointer that they return is into their
// argument.
namespace attune::client {

// A metric of the result, and of the base where it was measured.
struct MetricRow {
  std::string name;
  double tuned = 0;
  std::optional<double> base;
  std::optional<v1::MetricInterval> tuned_interval;
  std::optional<v1::MetricInterval> base_interval;
};
// All of them and the loss: first the one that picked the checkpoint, then by
// name. None where nothing was measured.
std::vector<MetricRow> MetricRows(const v1::TuningReport& report);

// "86.7% to 95.3%"
std::string IntervalText(std::string_view metric,
                         const v1::MetricInterval& interval);

// What may be claimed: a difference only where its interval, if there is one,
// leaves out 0 and its test is below 0.05.
enum class Verdict { kNotCompared, kUntested, kUnclear, kBetter, kWorse };
Verdict VerdictOf(const v1::TuningReport& report);
// The same as a sentence with the numbers behind it. other: what the result is
// held against.
std::string VerdictText(const v1::TuningReport& report,
                        std::string_view other = "base");

// "150 rows of test"
std::string RowsText(const v1::EvaluationReport& evaluation);
// "after 150 steps (best: step 120)"
std::string StepsText(const v1::TuningReport& report);
// "max steps", "early stopping", ...; empty when not set.
std::string StopText(const v1::TuningReport& report);
// "datasets/d, 1,500 rows (1,200 train, 150 validation, 150 test)"; empty
// when the version does not say.
std::string DataText(const v1::PromptVersion& version);

// How often one label was answered where another one is right.
struct Confusion {
  std::string label;
  std::string answered;
  int64_t count;
  double share;  // of the label's rows
};
// Whether there are labels, and counts of each pair of them.
bool IsMatrix(const v1::ConfusionMatrix& matrix);
// The wrong answers, most frequent first; none unless IsMatrix.
std::vector<Confusion> LargestConfusions(const v1::ConfusionMatrix& matrix,
                                         size_t max_confusions);

// The mean distance of confidence and accuracy over the rows (expected
// calibration error), 0 to 1; nullopt without rows.
std::optional<double> CalibrationError(const v1::EvaluationReport& evaluation);

// At most `max_shown` (at least 2) of the validations, evenly spread, the last
// one among them.
std::vector<const v1::ValidationReport*> ShownValidations(
    const v1::TuningReport& report, size_t max_shown);
// The metrics by name.
std::map<std::string, double> SortedMetrics(const v1::EvaluationReport& report);

// Null where there is none.
const v1::TrainingSeries* FindSeries(const v1::TuningReport& report,
                                     std::string_view name);
const v1::ClassReport* FindClass(
    const google::protobuf::RepeatedPtrField<v1::ClassReport>& classes,
    std::string_view label);

// The changed examples of one kind; never empty.
struct ExampleGroup {
  std::string title;
  std::vector<const v1::ChangedExample*> examples;
};
std::vector<ExampleGroup> ExampleGroups(const v1::TuningReport& report);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_REPORT_FIGURES_H_
