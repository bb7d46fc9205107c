#include "worker/tasks/split_audit.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "worker/tasks/row_answer.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/row_key.h"

namespace attune::worker {
namespace {

using attune::v1::SplitSummary;
using attune::v1::TokenCounts;
using KeySet = std::unordered_set<RowKey, RowKeyHash>;

constexpr size_t kRowsBetweenLooks = 1024;

// The least of `counts` that at least `share` of them are not above.
int64_t Percentile(std::vector<int64_t>& counts, double share) {
  // The last bit of a share must not ask for one more.
  const double rank =
      std::ceil(share * static_cast<double>(counts.size()) - 1e-9);
  const auto place = counts.begin() + static_cast<int64_t>(rank) - 1;
  std::nth_element(counts.begin(), place, counts.end());
  return *place;
}

TokenCounts CountsOf(std::vector<int64_t> counts) {
  TokenCounts result;
  if (counts.empty()) return result;
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  result.set_min(*std::min_element(counts.begin(), counts.end()));
  result.set_max(*std::max_element(counts.begin(), counts.end()));
  result.set_median(Percentile(counts, 0.5));
  result.set_percentile_95(Percentile(counts, 0.95));
  result.set_total(total);
  return result;
}

// Counts one more row of a kind, and keeps the first.
void NoteRow(int64_t row, int64_t& count, int64_t& first) {
  if (count++ == 0) first = row;
}

void AuditTokens(const TaskProgram& program, const SplitToAudit& split,
                 SplitAudit& audit) {
  std::vector<int64_t> inputs;
  std::vector<int64_t> answers;
  inputs.reserve(split.prepared.size());
  if (program.is_generation()) answers.reserve(split.prepared.size());
  int64_t num_truncated = 0;
  for (const PreparedExample& one : split.prepared) {
    inputs.push_back(one.input.num_whole_tokens > 0 ? one.input.num_whole_tokens
                                                    : one.input.num_tokens());
    if (one.input.truncated) {
      NoteRow(one.row, num_truncated, audit.first_truncated_row);
    }
    if (one.input.num_left_out > 0) {
      NoteRow(one.row, audit.num_crowded_rows, audit.first_crowded_row);
    }
    if (!program.is_generation()) continue;
    const int64_t size = static_cast<int64_t>(one.answer_ids.size());
    answers.push_back(size);
    // The end token need not be generated.
    if (size - 1 > program.max_new_tokens()) {
      NoteRow(one.row, audit.num_unreachable_rows, audit.first_unreachable_row);
    }
  }
  SplitSummary& summary = audit.summary;
  if (!inputs.empty()) {
    *summary.mutable_input_tokens() = CountsOf(std::move(inputs));
  }
  if (!answers.empty()) {
    *summary.mutable_answer_tokens() = CountsOf(std::move(answers));
  }
  summary.set_num_truncated_rows(num_truncated);
}

void CountLabels(const TaskProgram& program, const std::vector<Example>& rows,
                 SplitSummary& summary) {
  if (program.labels().empty()) return;
  std::unordered_map<std::string, int64_t> counts;
  for (const Example& one : rows) {
    if (program.is_tagging()) {
      for (std::string& tag : SplitTags(one.answer)) ++counts[std::move(tag)];
    } else if (program.is_label_set()) {
      for (std::string& label : SplitLabels(one.answer)) {
        ++counts[std::move(label)];
      }
    } else {
      ++counts[one.answer];
    }
  }
  for (const std::string& label : program.labels()) {
    attune::v1::LabelCount& count = *summary.add_labels();
    count.set_label(label);
    const auto found = counts.find(label);
    if (found != counts.end()) count.set_count(found->second);
  }
}

void AuditRepeats(const TaskProgram& program, const std::vector<Example>& rows,
                  const std::vector<RowKey>& questions, SplitAudit& audit) {
  KeySet asked;
  KeySet said;
  int64_t num_duplicates = 0;
  int64_t num_contradictions = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool is_new = asked.insert(questions[i]).second;
    if (!said.insert(WholeKey(program, questions[i], rows[i])).second) {
      NoteRow(rows[i].row, num_duplicates, audit.first_duplicate_row);
    } else if (!is_new) {
      NoteRow(rows[i].row, num_contradictions, audit.first_contradictory_row);
    }
  }
  audit.summary.set_num_duplicate_rows(num_duplicates);
  audit.summary.set_num_contradictory_rows(num_contradictions);
}

void AuditLeaks(const std::vector<Example>& rows,
                const std::vector<RowKey>& questions, const KeySet& seen,
                SplitAudit& audit) {
  int64_t num_leaked = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (seen.contains(questions[i])) {
      NoteRow(rows[i].row, num_leaked, audit.first_leaked_row);
    }
  }
  audit.summary.set_num_leaked_rows(num_leaked);
}

KeySet QuestionsShown(const TaskProgram& program) {
  KeySet shown;
  if (program.task().num_nearest_demonstrations() > 0) return shown;
  for (const auto& demonstration : program.task().demonstrations()) {
    const absl::StatusOr<std::string> fields =
        FieldsToJson(demonstration.fields());
    if (fields.ok()) shown.insert(QuestionKey(program, *fields));
  }
  return shown;
}

}  // namespace

std::vector<SplitAudit> AuditSplits(const TaskProgram& program,
                                    const std::vector<SplitToAudit>& splits,
                                    const std::function<void()>& pause) {
  std::vector<std::vector<RowKey>> questions(splits.size());
  KeySet seen = QuestionsShown(program);
  for (size_t s = 0; s < splits.size(); ++s) {
    questions[s].reserve(splits[s].rows.size());
    for (const Example& row : splits[s].rows) {
      if (pause && questions[s].size() % kRowsBetweenLooks == 0) pause();
      questions[s].push_back(QuestionKey(program, row.fields));
    }
    if (!splits[s].is_trained_on) continue;
    seen.insert(questions[s].begin(), questions[s].end());
  }
  std::vector<SplitAudit> audits(splits.size());
  for (size_t s = 0; s < splits.size(); ++s) {
    if (pause) pause();
    const SplitToAudit& split = splits[s];
    SplitAudit& audit = audits[s];
    audit.summary.set_split(split.name);
    audit.summary.set_num_rows(static_cast<int64_t>(split.rows.size()));
    AuditTokens(program, split, audit);
    CountLabels(program, split.rows, audit.summary);
    AuditRepeats(program, split.rows, questions[s], audit);
    if (split.name != "train") {
      AuditLeaks(split.rows, questions[s], seen, audit);
    }
  }
  return audits;
}

}  // namespace attune::worker
