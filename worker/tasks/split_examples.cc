#include "worker/tasks/split_examples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/row_answer.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using nlohmann::json;

constexpr char kSplitKey[] = "split";
// Keeps the drawing apart from other uses of the same seed.
constexpr uint64_t kDrawStream = 11;

// Takes a row's split out of its fields.
absl::StatusOr<std::string> TakeSplitName(json& fields, int64_t row) {
  if (!fields.contains(kSplitKey)) return std::string("train");
  ATTUNE_ASSIGN_OR_RETURN(std::string name, TakeText(fields, kSplitKey, row));
  return name == "dev" ? "validation" : name;
}

// The row as an example; nothing if it is of another split.
absl::StatusOr<std::optional<Example>> ReadExample(
    const std::string& text, const std::string& split,
    const attune::v1::TaskSpec& task, int64_t number) {
  json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) {
    return RowError(number, "it is not a JSON object in UTF-8");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string own, TakeSplitName(fields, number));
  if (split != "all" && own != split) return std::nullopt;
  ATTUNE_ASSIGN_OR_RETURN(RowAnswer answer, TakeAnswer(fields, task, number));
  return Example{.row = number,
                 .fields = fields.dump(),
                 .answer = std::move(answer.text),
                 .other_answers = std::move(answer.others)};
}

std::vector<Example> DrawExamples(std::vector<Example> examples,
                                  const SplitChoice& choice) {
  const auto limit = static_cast<size_t>(choice.max_rows);
  if (limit == 0 || examples.size() <= limit) return examples;
  std::vector<size_t> order(examples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  SeededRandom(choice.seed, kDrawStream).Shuffle(order);
  order.resize(limit);
  std::sort(order.begin(), order.end());
  std::vector<Example> drawn;
  drawn.reserve(limit);
  for (const size_t i : order) drawn.push_back(std::move(examples[i]));
  return drawn;
}

}  // namespace

absl::StatusOr<std::vector<Example>> ReadSplitExamples(
    absl::Span<const std::string> rows, const SplitChoice& choice,
    const attune::v1::TaskSpec& task) {
  std::vector<Example> examples;
  for (size_t i = 0; i < rows.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<Example> example,
        ReadExample(rows[i], choice.split, task, static_cast<int64_t>(i) + 1));
    if (example.has_value()) examples.push_back(*std::move(example));
  }
  if (examples.empty()) {
    return MakeError(
        Reason::kIllegalState,
        Concat("none of the ", rows.size(), " rows is of the split '",
               choice.split, "': choose another split, or 'all'"));
  }
  return DrawExamples(std::move(examples), choice);
}

}  // namespace attune::worker
