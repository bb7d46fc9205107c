#include "worker/tasks/split_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using ::attune::v1::SplitSummary;

Example AuditRow(int64_t row, const std::string& text,
                 const std::string& answer) {
  return {.row = row,
          .fields = absl::StrCat(R"({"text":")", text, "\"}"),
          .answer = answer};
}

std::vector<PreparedExample> RowsToAudit(const TaskProgram& program,
                                         const std::vector<Example>& rows) {
  return *PrepareExamples(program, rows);
}

SplitAudit AuditOne(const TaskProgram& program,
                    const std::vector<Example>& rows) {
  const std::vector<PreparedExample> prepared = RowsToAudit(program, rows);
  return AuditSplits(
      program, {{.name = "train", .rows = rows, .prepared = prepared}})[0];
}

// The slow and plain way to look at rows of text.
struct Reference {
  int64_t duplicates = 0;
  int64_t contradictions = 0;
  int64_t leaks = 0;
  std::map<std::string, int64_t> labels;
};

Reference LookAt(const std::vector<Example>& rows,
                 const std::vector<Example>& seen) {
  Reference found;
  for (size_t i = 0; i < rows.size(); ++i) {
    bool same = false;
    bool asked = false;
    for (size_t j = 0; j < i; ++j) {
      if (rows[j].fields != rows[i].fields) continue;
      asked = true;
      same = same || rows[j].answer == rows[i].answer;
    }
    found.duplicates += same ? 1 : 0;
    found.contradictions += asked && !same ? 1 : 0;
    found.leaks += std::any_of(seen.begin(), seen.end(), [&](const auto& one) {
      return one.fields == rows[i].fields;
    });
    ++found.labels[rows[i].answer];
  }
  return found;
}

int64_t AtShare(std::vector<int64_t> sizes, double share) {
  std::sort(sizes.begin(), sizes.end());
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (static_cast<double>(i + 1) >= share * sizes.size() - 1e-9) {
      return sizes[i];
    }
  }
  return -1;
}

TEST(SplitAudit, AgreesWithThePlainWay) {
  const auto program = CompileTask(LabelTask({"yes", "no", "never"}));
  SeededRandom random(1, 0);
  std::vector<std::vector<Example>> splits(3);
  int64_t row = 0;
  for (auto& split : splits) {
    for (int i = 0; i < 120; ++i) {
      split.push_back(AuditRow(++row, std::string(1 + random.Below(40), 'x'),
                               random.Below(3) == 0 ? "yes" : "no"));
    }
  }
  std::vector<std::vector<PreparedExample>> prepared;
  for (const auto& split : splits) {
    prepared.push_back(RowsToAudit(*program, split));
  }

  const std::vector<SplitAudit> audits = AuditSplits(
      *program,
      {{.name = "train",
        .rows = splits[0],
        .prepared = prepared[0],
        .is_trained_on = true},
       {.name = "validation", .rows = splits[1], .prepared = prepared[1]},
       {.name = "test", .rows = splits[2], .prepared = prepared[2]}});

  for (size_t s = 0; s < 3; ++s) {
    const SplitSummary& summary = audits[s].summary;
    const Reference plain = LookAt(splits[s], splits[0]);
    EXPECT_EQ(summary.num_rows(), 120);
    EXPECT_EQ(summary.num_duplicate_rows(), plain.duplicates);
    EXPECT_EQ(summary.num_contradictory_rows(), plain.contradictions);
    EXPECT_EQ(summary.num_leaked_rows(), s == 0 ? 0 : plain.leaks);
    ASSERT_EQ(summary.labels_size(), 3);
    EXPECT_EQ(summary.labels(0).count(), plain.labels.at("yes"));
    EXPECT_EQ(summary.labels(1).count(), plain.labels.at("no"));
    EXPECT_EQ(summary.labels(2).count(), 0);
    std::vector<int64_t> sizes;
    int64_t total = 0;
    for (const PreparedExample& one : prepared[s]) {
      sizes.push_back(one.input.num_tokens());
      total += sizes.back();
    }
    EXPECT_EQ(summary.input_tokens().min(), AtShare(sizes, 0));
    EXPECT_EQ(summary.input_tokens().median(), AtShare(sizes, 0.5));
    EXPECT_EQ(summary.input_tokens().percentile_95(), AtShare(sizes, 0.95));
    EXPECT_EQ(summary.input_tokens().max(), AtShare(sizes, 1));
    EXPECT_EQ(summary.input_tokens().total(), total);
    EXPECT_FALSE(summary.has_answer_tokens());
  }
}

TEST(SplitAudit, NamesTheFirstRowOfEachKind) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  const SplitAudit audit =
      AuditOne(*program, {AuditRow(2, "a", "yes"), AuditRow(5, "b", "no"),
                          AuditRow(9, " a ", "yes"), AuditRow(11, "b", "yes"),
                          AuditRow(12, "b", "yes"), AuditRow(13, "b", "no")});

  EXPECT_EQ(audit.summary.num_duplicate_rows(), 3);
  EXPECT_EQ(audit.first_duplicate_row, 9);
  EXPECT_EQ(audit.summary.num_contradictory_rows(), 1);
  EXPECT_EQ(audit.first_contradictory_row, 11);
}

TEST(SplitAudit, TokensAreThoseBeforeACut) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  const auto whole = CompileTask(task);
  task.mutable_truncation()->set_max_input_tokens(20);
  const auto cut = CompileTask(task);
  const std::vector<Example> rows = {AuditRow(1, "a", "no"),
                                     AuditRow(2, std::string(60, '7'), "no")};

  const SplitAudit before = AuditOne(*whole, rows);
  const SplitAudit after = AuditOne(*cut, rows);

  EXPECT_EQ(after.summary.input_tokens().max(),
            before.summary.input_tokens().max());
  EXPECT_GT(after.summary.input_tokens().max(), 60);
  EXPECT_EQ(after.summary.num_truncated_rows(), 1);
  EXPECT_EQ(after.first_truncated_row, 2);
  EXPECT_EQ(before.summary.num_truncated_rows(), 0);
}

TEST(SplitAudit, AGenerationHasTokensOfAnswersAndWhatCannotBeReached) {
  const auto program = CompileTask(TextTask(4));

  const SplitAudit audit =
      AuditOne(*program, {AuditRow(1, "a", "7"), AuditRow(2, "b", "777777777"),
                          AuditRow(3, "c", "777777777")});

  EXPECT_TRUE(audit.summary.has_answer_tokens());
  EXPECT_GT(audit.summary.answer_tokens().max(),
            audit.summary.answer_tokens().min());
  EXPECT_EQ(audit.num_unreachable_rows, 2);
  EXPECT_EQ(audit.first_unreachable_row, 2);
  EXPECT_EQ(audit.summary.labels_size(), 0);
}

TEST(SplitAudit, TagsAreCountedByWord) {
  const auto program = CompileTask(TagTask({"O", "B-N", "I-N"}), 0, "encoder");

  const SplitAudit audit =
      AuditOne(*program, {{.row = 1,
                           .fields = R"({"tokens": ["it", "is", "7"]})",
                           .answer = "O O B-N"}});

  EXPECT_EQ(audit.summary.labels(0).count(), 2);
  EXPECT_EQ(audit.summary.labels(1).count(), 1);
  EXPECT_EQ(audit.summary.labels(2).count(), 0);
}

TEST(SplitAudit, TrainingSeesDemonstrationsToo) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  attune::v1::Demonstration& shown = *task.add_demonstrations();
  (*shown.mutable_fields()->mutable_fields())["text"].set_string_value("a");
  shown.set_answer("yes");
  const auto program = CompileTask(task);
  const std::vector<Example> test = {AuditRow(1, "b", "no"),
                                     AuditRow(2, "a", "no")};
  const std::vector<PreparedExample> prepared = RowsToAudit(*program, test);

  const SplitAudit audit = AuditSplits(
      *program, {{.name = "test", .rows = test, .prepared = prepared}})[0];

  EXPECT_EQ(audit.summary.num_leaked_rows(), 1);
  EXPECT_EQ(audit.first_leaked_row, 2);
}

TEST(SplitAudit, NearestDemonstrationsGiveNothingAway) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  for (const char* text : {"a", "c"}) {
    attune::v1::Demonstration& shown = *task.add_demonstrations();
    (*shown.mutable_fields()->mutable_fields())["text"].set_string_value(text);
    shown.set_answer("yes");
  }
  task.set_num_nearest_demonstrations(2);
  const auto program = CompileTask(task);
  // The second has room for itself only.
  const std::vector<Example> test = {AuditRow(4, "a", "no"),
                                     AuditRow(7, std::string(230, '7'), "no")};
  const std::vector<PreparedExample> prepared = RowsToAudit(*program, test);

  const SplitAudit audit = AuditSplits(
      *program, {{.name = "test", .rows = test, .prepared = prepared}})[0];

  EXPECT_EQ(audit.summary.num_leaked_rows(), 0);
  EXPECT_EQ(audit.num_crowded_rows, 1);
  EXPECT_EQ(audit.first_crowded_row, 7);
  EXPECT_EQ(audit.summary.num_truncated_rows(), 0);
}

TEST(SplitAudit, RowsThatNothingReadsHaveNoTokens) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const std::vector<Example> rows = {AuditRow(1, "a", "yes")};

  const SplitAudit audit = AuditSplits(
      *program, {{.name = "train", .rows = rows, .prepared = {}}})[0];

  EXPECT_EQ(audit.summary.num_rows(), 1);
  EXPECT_FALSE(audit.summary.has_input_tokens());
  EXPECT_EQ(audit.summary.labels(0).count(), 1);
}

}  // namespace
}  // namespace attune::worker
