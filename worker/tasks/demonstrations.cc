#include "worker/tasks/demonstrations.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/row_key.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using attune::v1::Demonstration;
using attune::v1::HardPrompt;

// Keeps this choice apart from the seed's other uses.
constexpr uint64_t kDemonstrationStream = 20;
// A long row must not end the search, nor a whole dataset of them prolong it.
constexpr int kMaxPassedOver = 1000;

// Rows by what must be even among them: their answers, or nothing.
using Groups = std::vector<std::vector<const Example*>>;

Groups Shuffled(absl::Span<const Example> train, bool balanced,
                SeededRandom& random) {
  std::map<std::string, std::vector<const Example*>> by_answer;
  for (const Example& row : train) {
    by_answer[balanced ? row.answer : ""].push_back(&row);
  }
  Groups groups;
  for (auto& [answer, rows] : by_answer) {
    random.Shuffle(rows);
    groups.push_back(std::move(rows));
  }
  // Not always the same labels get one more than the others.
  random.Shuffle(groups);
  return groups;
}

// The first of every group, then their seconds, and so on.
std::vector<const Example*> InTurns(const Groups& groups) {
  size_t longest = 0;
  for (const auto& group : groups) longest = std::max(longest, group.size());
  std::vector<const Example*> rows;
  for (size_t turn = 0; turn < longest; ++turn) {
    for (const auto& group : groups) {
      if (turn < group.size()) rows.push_back(group[turn]);
    }
  }
  return rows;
}

// A row as a demonstration, and what it takes.
struct MeasuredRow {
  Demonstration demonstration;
  int64_t tokens = 0;
  size_t bytes = 0;
};

absl::StatusOr<MeasuredRow> MeasureRow(const TaskProgram& program,
                                       const Example& row) {
  MeasuredRow made;
  Demonstration& one = made.demonstration;
  const std::string place = Concat("row ", row.row);
  absl::StatusOr<google::protobuf::Struct> fields = FieldsFromJson(row.fields);
  if (!fields.ok()) return WithContext(fields.status(), place);
  // Other fields are nobody's business.
  for (const std::string& name : program.fields_read()) {
    const auto field = fields->mutable_fields()->find(name);
    if (field == fields->mutable_fields()->end()) continue;
    (*one.mutable_fields()->mutable_fields())[name] = field->second;
  }
  one.set_answer(row.answer);
  const absl::StatusOr<int64_t> tokens = program.CountDemonstrationTokens(one);
  if (!tokens.ok()) return WithContext(tokens.status(), place);
  made.tokens = *tokens;
  made.bytes = one.ByteSizeLong();
  return made;
}

// What chosen rows may take.
struct Room {
  int most = 0;        // rows
  int64_t tokens = 0;  // together, or each
  bool is_shared = true;
};

using ChosenRows = std::vector<std::pair<const Example*, Demonstration>>;

// Of `rows` the first that there is room for.
absl::StatusOr<ChosenRows> TakeRows(const TaskProgram& program,
                                    const std::vector<const Example*>& rows,
                                    Room room) {
  size_t bytes_left = kMaxDemonstrationsBytes;
  int passed_over = 0;
  ChosenRows chosen;
  for (const Example* row : rows) {
    if (static_cast<int>(chosen.size()) == room.most ||
        passed_over == kMaxPassedOver) {
      break;
    }
    ATTUNE_ASSIGN_OR_RETURN(MeasuredRow one, MeasureRow(program, *row));
    if (one.tokens > room.tokens || one.bytes > bytes_left) {
      ++passed_over;
      continue;
    }
    if (room.is_shared) room.tokens -= one.tokens;
    bytes_left -= one.bytes;
    chosen.emplace_back(row, std::move(one.demonstration));
  }
  return chosen;
}

// One of the rows that ask the same, in an order that `random` decides.
std::vector<const Example*> OneOfEachQuestion(const TaskProgram& program,
                                              absl::Span<const Example> train,
                                              SeededRandom& random) {
  std::unordered_set<RowKey, RowKeyHash> asked;
  std::vector<const Example*> rows;
  for (const Example& row : train) {
    if (asked.insert(QuestionKey(program, row.fields)).second) {
      rows.push_back(&row);
    }
  }
  random.Shuffle(rows);
  return rows;
}

}  // namespace

absl::StatusOr<std::vector<Demonstration>> ChooseDemonstrations(
    const TaskProgram& program, absl::Span<const Example> train,
    const HardPrompt& method, uint64_t seed) {
  SeededRandom random(seed, kDemonstrationStream);
  const bool nearest = method.selection() == HardPrompt::SELECTION_NEAREST;
  const bool balanced = method.selection() == HardPrompt::SELECTION_BALANCED;
  const int64_t half = program.InputLimit(/*answer_tokens=*/1) / 2;
  ATTUNE_ASSIGN_OR_RETURN(
      ChosenRows rows,
      nearest
          ? TakeRows(program, OneOfEachQuestion(program, train, random),
                     {.most = kMaxPoolDemonstrations,
                      .tokens = half,
                      .is_shared = false})
          : TakeRows(program, InTurns(Shuffled(train, balanced, random)),
                     {.most = method.num_demonstrations(), .tokens = half}));
  if (nearest) {
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  } else {
    // Models lean towards the answers that they saw last (Zhao et al. 2021).
    random.Shuffle(rows);
  }
  std::vector<Demonstration> chosen;
  chosen.reserve(rows.size());
  for (auto& [row, one] : rows) chosen.push_back(std::move(one));
  return chosen;
}

}  // namespace attune::worker
