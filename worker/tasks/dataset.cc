#include "worker/tasks/dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
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
constexpr Split kSplits[] = {Split::kTrain, Split::kValidation, Split::kTest};

absl::StatusOr<Split> ParseSplit(const std::string& name, int64_t row) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "dev") return Split::kValidation;
  if (name == "test") return Split::kTest;
  return RowError(row,
                  Concat("field 'split' is '", name,
                         "'; it must be 'train', 'validation' (or 'dev') or "
                         "'test'"),
                  kSplitField);
}

// Takes the row's split out of its fields; training has those without.
absl::StatusOr<Split> TakeSplit(json& fields, int64_t row) {
  if (!fields.contains(kSplitField)) return Split::kTrain;
  ATTUNE_ASSIGN_OR_RETURN(const std::string name,
                          TakeText(fields, kSplitField, row));
  return ParseSplit(name, row);
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

// A share of the rows; nonsense is refused elsewhere, and does no harm here.
double ShareOf(double given) { return std::min(FractionOf(given), 1.0); }

// Reads one set of rows. Made for one call of ReadSplits.
class SplitReader {
 public:
  SplitReader(const attune::v1::TuningData& data, TaskSpec& task,
              const FaultHandler& on_fault)
      : data_(data), task_(task), on_fault_(on_fault) {}

  absl::StatusOr<Splits> Run(absl::Span<const std::string> rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
      ATTUNE_RETURN_IF_ERROR(ReadRow(rows[i], static_cast<int64_t>(i) + 1));
    }
    ATTUNE_RETURN_IF_ERROR(DealOutSplits());
    if (task_.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
        !task_.multi_label()) {
      ATTUNE_RETURN_IF_ERROR(ResolveLabels());
    } else if (task_.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
               task_.multi_label()) {
      ATTUNE_RETURN_IF_ERROR(ResolveNames());
    }
    if (task_.type() == attune::v1::TASK_TYPE_REGRESSION) {
      ATTUNE_RETURN_IF_ERROR(ResolveScale());
    }
    return std::move(splits_);
  }

 private:
  std::vector<Example>& Rows(Split split) {
    switch (split) {
      case Split::kValidation:
        return splits_.validation;
      case Split::kTest:
        return splits_.test;
      default:
        return splits_.train;
    }
  }

  absl::Status ReadRow(const std::string& text, int64_t number) {
    json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!fields.is_object()) {
      left_out_.insert(Split::kTrain);
      return Meet(on_fault_,
                  RowError(number, "it is not a JSON object in UTF-8"));
    }
    absl::StatusOr<RowAnswer> answer = TakeAnswer(fields, task_, number);
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault_, answer.status()));
    const absl::StatusOr<Split> split = TakeSplit(fields, number);
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault_, split.status()));
    if (!answer.ok() || !split.ok()) {
      left_out_.insert(split.ok() ? *split : Split::kTrain);
      return absl::OkStatus();
    }
    Rows(*split).push_back({.row = number,
                            .fields = fields.dump(),
                            .answer = std::move(answer->text),
                            .other_answers = std::move(answer->others)});
    return absl::OkStatus();
  }

  absl::Status DealOutSplits() {
    ATTUNE_RETURN_IF_ERROR(CheckNotEmpty(Split::kTrain, "train"));
    const bool classifies =
        task_.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
        !task_.multi_label();
    const int64_t num_rows = static_cast<int64_t>(splits_.train.size());
    const attune::v1::SplitFractions& fractions = data_.fractions();
    if (splits_.test.empty()) {
      splits_.test =
          DealOut(splits_.train, ShareOf(fractions.test()), num_rows,
                  classifies, SeededRandom(data_.split_seed(), kTestStream));
    }
    if (splits_.validation.empty()) {
      splits_.validation = DealOut(
          splits_.train, ShareOf(fractions.validation()), num_rows, classifies,
          SeededRandom(data_.split_seed(), kValidationStream));
    }
    ATTUNE_RETURN_IF_ERROR(CheckNotEmpty(Split::kValidation, "validation"));
    return CheckNotEmpty(Split::kTest, "test");
  }

  // Rows that were left out may be all that is missing.
  absl::Status CheckNotEmpty(Split split, std::string_view name) {
    if (!Rows(split).empty() || left_out_.contains(split) ||
        left_out_.contains(Split::kTrain)) {
      return absl::OkStatus();
    }
    return Meet(
        on_fault_,
        MakeError(Reason::kInvalidData,
                  Concat("the ", name, " split has no rows: add rows with ",
                         "\"split\": \"", name,
                         "\", or more rows, or a larger data.fractions")));
  }

  // Labels or tags of a row.
  std::vector<std::string> NamesOf(const Example& example) const {
    if (task_.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION) {
      return SplitTags(example.answer);
    }
    if (task_.multi_label()) return SplitLabels(example.answer);
    return {example.answer};
  }

  // Leaves rows out that have a name which is not among `known`.
  absl::Status CheckNames(Split split, const std::set<std::string>& known,
                          std::string_view origin) {
    absl::Status status;
    const size_t erased =
        std::erase_if(Rows(split), [&](const Example& example) {
          if (!status.ok()) return false;
          for (const std::string& name : NamesOf(example)) {
            if (known.contains(name)) continue;
            status =
                Meet(on_fault_,
                     RowError(example.row,
                              Concat("field '", task_.answer_field(), "': '",
                                     name, "' is not among the ", origin),
                              task_.answer_field(), name));
            return true;
          }
          return false;
        });
    if (erased > 0) left_out_.insert(split);
    return status;
  }

  absl::Status CheckAllNames(const std::set<std::string>& known,
                             std::string_view origin) {
    for (const Split split : kSplits) {
      ATTUNE_RETURN_IF_ERROR(CheckNames(split, known, origin));
    }
    return absl::OkStatus();
  }

  std::set<std::string> GivenLabels() const {
    std::set<std::string> given;
    for (const auto& label : task_.labels()) given.insert(label.label());
    return given;
  }

  void SetLabels(const std::set<std::string>& labels) {
    for (const std::string& label : labels) {
      task_.add_labels()->set_label(label);
    }
    FillTaskDefaults(task_);
  }

  absl::Status ResolveLabels() {
    const bool given = task_.labels_size() > 0;
    std::set<std::string> in_train;
    for (const Example& example : splits_.train) {
      in_train.insert(example.answer);
    }
    if (in_train.size() == 1 && left_out_.empty()) {
      ATTUNE_RETURN_IF_ERROR(Meet(
          on_fault_,
          MakeError(Reason::kInvalidData,
                    Concat("all ", splits_.train.size(),
                           " training rows have the label '", *in_train.begin(),
                           "'; a classification needs at least two"))));
    }
    if (!given) SetLabels(in_train);
    return CheckAllNames(
        GivenLabels(), given ? "task's labels" : "labels of the training rows");
  }

  // The labels or tags of all splits, unless the task names them: those that
  // training never sees are only never right.
  absl::Status ResolveNames() {
    if (task_.labels_size() > 0) {
      return CheckAllNames(GivenLabels(), "task's labels");
    }
    std::set<std::string> known;
    for (const Split split : kSplits) {
      for (const Example& example : Rows(split)) {
        for (const std::string& name : NamesOf(example)) known.insert(name);
      }
    }
    if (task_.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION) {
      known.insert(std::string(kOutsideTag));
    }
    if (known.size() < 2 && left_out_.empty()) {
      return Meet(
          on_fault_,
          MakeError(
              Reason::kInvalidData,
              Concat("field '", task_.answer_field(), "' of all rows has ",
                     known.empty() ? "no labels"
                                   : Concat("'", *known.begin(), "' only"),
                     ": there is nothing to learn")));
    }
    SetLabels(known);
    return absl::OkStatus();
  }

  // Mean and deviation of the training rows' numbers, unless the task has them.
  absl::Status ResolveScale() {
    if (task_.has_number_scale() || splits_.train.empty()) {
      return absl::OkStatus();
    }
    std::vector<double> numbers;
    numbers.reserve(splits_.train.size());
    for (const Example& one : splits_.train) {
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
      return Meet(
          on_fault_,
          MakeError(Reason::kInvalidData,
                    Concat("field '", task_.answer_field(), "' of the ",
                           numbers.size(), " training rows is ", *least, " to ",
                           *most,
                           *least == *most ? ": there is nothing to learn"
                                           : ": give them in another unit")));
    }
    task_.mutable_number_scale()->set_mean(mean);
    task_.mutable_number_scale()->set_deviation(std::sqrt(variance));
    return absl::OkStatus();
  }

  const attune::v1::TuningData& data_;
  TaskSpec& task_;
  const FaultHandler& on_fault_;
  Splits splits_;
  std::set<Split> left_out_;  // splits that lack rows with faults
};

}  // namespace

void FillDataDefaults(attune::v1::TuningData& data) {
  attune::v1::SplitFractions& fractions = *data.mutable_fractions();
  fractions.set_validation(FractionOf(fractions.validation()));
  fractions.set_test(FractionOf(fractions.test()));
}

absl::StatusOr<Splits> ReadSplits(absl::Span<const std::string> rows,
                                  const attune::v1::TuningData& data,
                                  TaskSpec& task,
                                  const FaultHandler& on_fault) {
  return SplitReader(data, task, on_fault).Run(rows);
}

}  // namespace attune::worker
