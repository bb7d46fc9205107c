#include "worker/tasks/data_warnings.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using attune::v1::LabelCount;
using attune::v1::SplitSummary;

constexpr size_t kMaxLabelsNamed = 5;

// "'a', 'b' and 3 more"
std::string NamesInWords(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMaxLabelsNamed);
  std::string text = Concat(
      "'", absl::StrJoin(names.begin(), names.begin() + shown, "', '"), "'");
  if (names.size() > shown)
    text += Concat(" and ", names.size() - shown, " more");
  return text;
}

void WarnOfRepeats(const TaskProgram& program, const SplitAudit& audit,
                   std::vector<DataWarning>& warnings) {
  const SplitSummary& summary = audit.summary;
  const int64_t duplicates = summary.num_duplicate_rows();
  if (duplicates > 0 &&
      static_cast<double>(duplicates) >=
          kMaxDuplicateShare * static_cast<double>(summary.num_rows())) {
    warnings.push_back(
        {audit.first_duplicate_row, duplicates,
         Concat(duplicates, " of ", summary.num_rows(), " rows of ",
                summary.split(),
                " say the same as an earlier one (the first: ", "row ",
                audit.first_duplicate_row, "): they count more than others")});
  }
  const int64_t contradictions = summary.num_contradictory_rows();
  if (contradictions > 0 && !program.is_generation()) {
    warnings.push_back(
        {audit.first_contradictory_row, contradictions,
         Concat(contradictions, " of ", summary.num_rows(), " rows of ",
                summary.split(),
                " ask the same as an earlier one, but have another answer (the "
                "first: row ",
                audit.first_contradictory_row,
                "): no model can be right on both")});
  }
  const int64_t leaked = summary.num_leaked_rows();
  if (leaked > 0) {
    warnings.push_back(
        {audit.first_leaked_row, leaked,
         Concat(leaked, " of ", summary.num_rows(), " rows of ",
                summary.split(),
                " ask the same as rows that training sees (the first: row ",
                audit.first_leaked_row, "): what is measured on ",
                summary.split(), " looks better than it is")});
  }
}

void WarnOfCrowding(const TaskProgram& program, const SplitAudit& audit,
                    std::vector<DataWarning>& warnings) {
  const int64_t crowded = audit.num_crowded_rows;
  if (crowded == 0) return;
  warnings.push_back(
      {audit.first_crowded_row, crowded,
       Concat(crowded, " of ", audit.summary.num_rows(), " inputs of ",
              audit.summary.split(), " have no room for all ",
              program.task().num_nearest_demonstrations(),
              " nearest demonstrations (the first: row ",
              audit.first_crowded_row, "): they show fewer")});
}

void WarnOfLabels(const TaskProgram& program, const SplitAudit& audit,
                  std::vector<DataWarning>& warnings) {
  const SplitSummary& summary = audit.summary;
  if (summary.labels().empty() || summary.num_rows() == 0) return;
  int64_t total = 0;
  std::vector<std::string> missing;
  const LabelCount* rarest = nullptr;
  for (const LabelCount& label : summary.labels()) {
    total += label.count();
    if (label.count() == 0) {
      missing.push_back(label.label());
    } else if (rarest == nullptr || label.count() < rarest->count()) {
      rarest = &label;
    }
  }
  if (!missing.empty()) {
    warnings.push_back(
        {0, 0,
         Concat(missing.size(), " of ", summary.labels_size(),
                program.is_tagging() ? " tags" : " labels", " have no rows in ",
                summary.split(), ": ", NamesInWords(missing))});
  }
  const double even = static_cast<double>(total) / summary.labels_size();
  if (rarest == nullptr || program.is_tagging() ||
      static_cast<double>(rarest->count()) >= kRareLabelShare * even) {
    return;
  }
  warnings.push_back(
      {0, rarest->count(),
       Concat("label '", rarest->label(), "' has only ", rarest->count(),
              " of ", total, " in ", summary.split(), ": with ",
              summary.labels_size(), " labels of the same size it would have ",
              static_cast<int64_t>(even), "; look at its own recall")});
}

}  // namespace

std::vector<DataWarning> FindDataWarnings(const TaskProgram& program,
                                          absl::Span<const SplitAudit> audits) {
  std::vector<DataWarning> warnings;
  for (const SplitAudit& audit : audits) {
    WarnOfRepeats(program, audit, warnings);
    WarnOfCrowding(program, audit, warnings);
    WarnOfLabels(program, audit, warnings);
  }
  return warnings;
}

}  // namespace attune::worker
