#include "worker/tasks/dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/row_answer.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/tag_scheme.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using nlohmann::json;

constexpr char kSplitField[] = "split";
constexpr double kDefaultFraction = 0.1;
// Streams of the seed that deals rows out.
constexpr uint64_t kValidationStream = 1;
constexpr uint64_t kTestStream = 2;

enum class Split { kTrain, kValidation, kTest };

struct Row {
  Example example;
  std::optional<Split> split;
};

absl::StatusOr<Split> ParseSplit(const std::string& name, int64_t row) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "dev") return Split::kValidation;
  if (name == "test") return Split::kTest;
  return RowError(row, Concat("field 'split' is '", name,
                              "'; it must be 'train', 'validation' (or 'dev') "
                              "or 'test'"));
}

absl::StatusOr<Row> ReadRow(const std::string& text, const TaskSpec& task,
                            int64_t number) {
  json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) {
    return RowError(number, "it is not a JSON object in UTF-8");
  }
  Row row;
  row.example.row = number;
  ATTUNE_ASSIGN_OR_RETURN(row.example.answer, TakeAnswer(fields, task, number));
  if (row.example.answer.empty()) {
    return RowError(number,
                    Concat("field '", task.answer_field(), "' is empty"));
  }
  if (fields.contains(kSplitField)) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string name,
                            TakeText(fields, kSplitField, number));
    ATTUNE_ASSIGN_OR_RETURN(row.split, ParseSplit(name, number));
  }
  row.example.fields = fields.dump();
  return row;
}

// Moves about `fraction` of `num_rows` rows from `train` to the result: of
// every answer (stratified) in proportion, and never its last row.
std::vector<Example> DealOut(std::vector<Example>& train, double fraction,
                             int64_t num_rows, bool stratified,
                             SeededRandom random) {
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < train.size(); ++i) {
    groups[stratified ? train[i].answer : ""].push_back(i);
  }
  const double share = fraction * static_cast<double>(num_rows) / train.size();
  std::vector<bool> taken(train.size(), false);
  double owed = 0.5;  // rounds to the nearest number over all groups
  for (auto& [answer, members] : groups) {
    random.Shuffle(members);
    owed += share * members.size();
    const size_t count =
        std::min(static_cast<size_t>(std::max(0.0, owed)), members.size() - 1);
    for (size_t i = 0; i < count; ++i) taken[members[i]] = true;
    owed -= count;
  }
  std::vector<Example> dealt;
  std::vector<Example> kept;
  for (size_t i = 0; i < train.size(); ++i) {
    (taken[i] ? dealt : kept).push_back(std::move(train[i]));
  }
  train = std::move(kept);
  return dealt;
}

double FractionOf(double given) { return given > 0 ? given : kDefaultFraction; }

absl::Status CheckNotEmpty(const std::vector<Example>& split,
                           std::string_view name) {
  if (!split.empty()) return absl::OkStatus();
  return MakeError(
      Reason::kInvalidData,
      Concat("the ", name, " split has no rows: add rows with \"split\": \"",
             name, "\", or more rows, or a larger data.fractions"));
}

absl::Status CheckKnownLabels(const std::vector<Example>& split,
                              const std::set<std::string>& labels,
                              std::string_view field, std::string_view origin) {
  for (const Example& example : split) {
    if (!labels.contains(example.answer)) {
      return RowError(example.row,
                      Concat("field '", field, "': '", example.answer,
                             "' is not among the ", origin));
    }
  }
  return absl::OkStatus();
}

// The labels or tags of all splits, unless the task names them: those that
// training never sees are only never right.
absl::Status ResolveNames(const Splits& splits, TaskSpec& task) {
  const bool tags = task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION;
  const bool given = task.labels_size() > 0;
  std::set<std::string> known;
  for (const auto& label : task.labels()) known.insert(label.label());
  for (const auto* split : {&splits.train, &splits.validation, &splits.test}) {
    for (const Example& example : *split) {
      for (const std::string& name :
           tags ? SplitTags(example.answer) : SplitLabels(example.answer)) {
        if (!given) {
          known.insert(name);
        } else if (!known.contains(name)) {
          return RowError(example.row,
                          Concat("field '", task.answer_field(), "': '", name,
                                 "' is not among the task's labels"));
        }
      }
    }
  }
  if (given) return absl::OkStatus();
  if (tags) known.insert(std::string(kOutsideTag));
  if (known.size() < 2) {
    return MakeError(
        Reason::kInvalidData,
        Concat(
            "field '", task.answer_field(), "' of all rows has ",
            known.empty() ? "no labels" : Concat("'", *known.begin(), "' only"),
            ": there is nothing to learn"));
  }
  for (const std::string& name : known) task.add_labels()->set_label(name);
  FillTaskDefaults(task);
  return absl::OkStatus();
}

// Mean and deviation of the training rows' numbers, unless the task has them.
absl::Status ResolveScale(const Splits& splits, TaskSpec& task) {
  if (task.has_number_scale()) return absl::OkStatus();
  std::vector<double> numbers;
  for (const Example& one : splits.train) {
    numbers.push_back(NumberOf(one.answer));
  }
  const double count = static_cast<double>(numbers.size());
  double mean = 0;
  for (const double number : numbers) mean += number / count;
  double variance = 0;
  for (const double number : numbers) {
    variance += (number - mean) * (number - mean) / count;
  }
  const auto [least, most] =
      std::minmax_element(numbers.begin(), numbers.end());
  if (*least == *most || !(variance > 0) || !std::isfinite(variance)) {
    return MakeError(
        Reason::kInvalidData,
        Concat("field '", task.answer_field(), "' of the ", numbers.size(),
               " training rows is ", *least, " to ", *most,
               *least == *most ? ": there is nothing to learn"
                               : ": give them in another unit"));
  }
  task.mutable_number_scale()->set_mean(mean);
  task.mutable_number_scale()->set_deviation(std::sqrt(variance));
  return absl::OkStatus();
}

absl::Status ResolveLabels(const Splits& splits, TaskSpec& task) {
  std::set<std::string> in_train;
  for (const Example& example : splits.train) in_train.insert(example.answer);
  if (in_train.size() < 2) {
    return MakeError(
        Reason::kInvalidData,
        Concat("all ", splits.train.size(), " training rows have the label '",
               *in_train.begin(), "'; a classification needs at least two"));
  }
  const bool given = task.labels_size() > 0;
  if (!given) {
    for (const std::string& label : in_train) {
      task.add_labels()->set_label(label);
    }
    FillTaskDefaults(task);
  }
  std::set<std::string> known;
  for (const auto& label : task.labels()) known.insert(label.label());
  const std::string_view origin =
      given ? "task's labels" : "labels of the training rows";
  for (const auto* split : {&splits.train, &splits.validation, &splits.test}) {
    ATTUNE_RETURN_IF_ERROR(
        CheckKnownLabels(*split, known, task.answer_field(), origin));
  }
  return absl::OkStatus();
}

}  // namespace

void FillDataDefaults(attune::v1::TuningData& data) {
  attune::v1::SplitFractions& fractions = *data.mutable_fractions();
  fractions.set_validation(FractionOf(fractions.validation()));
  fractions.set_test(FractionOf(fractions.test()));
}

absl::StatusOr<Splits> ReadSplits(absl::Span<const std::string> rows,
                                  const attune::v1::TuningData& data,
                                  TaskSpec& task) {
  Splits splits;
  for (size_t i = 0; i < rows.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(
        Row row, ReadRow(rows[i], task, static_cast<int64_t>(i) + 1));
    const Split split = row.split.value_or(Split::kTrain);
    std::vector<Example>& target =
        split == Split::kTrain
            ? splits.train
            : (split == Split::kTest ? splits.test : splits.validation);
    target.push_back(std::move(row.example));
  }
  ATTUNE_RETURN_IF_ERROR(CheckNotEmpty(splits.train, "train"));
  const bool classifies =
      task.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
      !task.multi_label();
  const int64_t num_rows = static_cast<int64_t>(splits.train.size());
  const attune::v1::SplitFractions& fractions = data.fractions();
  if (splits.test.empty()) {
    splits.test =
        DealOut(splits.train, FractionOf(fractions.test()), num_rows,
                classifies, SeededRandom(data.split_seed(), kTestStream));
  }
  if (splits.validation.empty()) {
    splits.validation =
        DealOut(splits.train, FractionOf(fractions.validation()), num_rows,
                classifies, SeededRandom(data.split_seed(), kValidationStream));
  }
  ATTUNE_RETURN_IF_ERROR(CheckNotEmpty(splits.validation, "validation"));
  ATTUNE_RETURN_IF_ERROR(CheckNotEmpty(splits.test, "test"));
  if (classifies) ATTUNE_RETURN_IF_ERROR(ResolveLabels(splits, task));
  if (task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
      task.multi_label()) {
    ATTUNE_RETURN_IF_ERROR(ResolveNames(splits, task));
  }
  if (task.type() == attune::v1::TASK_TYPE_REGRESSION) {
    ATTUNE_RETURN_IF_ERROR(ResolveScale(splits, task));
  }
  return splits;
}

}  // namespace attune::worker
