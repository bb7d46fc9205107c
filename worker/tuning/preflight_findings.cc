#include "worker/tuning/preflight_findings.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "worker/tasks/shown_text.h"

namespace attune::worker {
namespace {

using attune::v1::PreflightFinding;

constexpr size_t kNoPlace = std::numeric_limits<size_t>::max();

// The words without what differs between rows: numbers, and texts in quotes.
std::string WordsOf(std::string_view message) {
  std::string words;
  while (!message.empty()) {
    const char next = message.front();
    const size_t quoted = next == '\'' || next == '"' ? message.find(next, 1)
                                                      : std::string_view::npos;
    const bool skipped = quoted != std::string_view::npos;
    if (!skipped && !absl::ascii_isdigit(next)) words += next;
    message.remove_prefix(skipped ? quoted + 1 : 1);
  }
  return words;
}

std::string NameOf(Reason reason) {
  for (const ReasonRow& row : AllReasons()) {
    if (row.reason == reason) return std::string(row.name);
  }
  return "";
}

// Faults of a spec are alike only if they say the same.
std::string LikenessOf(const Fault& fault) {
  return Concat(NameOf(fault.reason), "\n", fault.spec_field, "\n",
                fault.row_field, "\n", fault.value, "\n",
                fault.row > 0 ? WordsOf(fault.what) : fault.what, "\n",
                fault.row > 0 ? "row" : "spec");
}

}  // namespace

void PreflightFindings::AddFaults(const absl::Status& status) {
  for (const Fault& fault : FaultsIn(status)) AddFault(fault);
}

void PreflightFindings::AddFault(const Fault& fault) {
  const bool has_room = num_errors_ < static_cast<int64_t>(kMaxFindings);
  const auto [place, is_new] =
      place_of_.try_emplace(std::hash<std::string>()(LikenessOf(fault)),
                            has_room ? findings_.size() : kNoPlace);
  if (!is_new) {
    // Of a spec, the same fault was found twice on the way.
    if (fault.row == 0 || place->second == kNoPlace) return;
    PreflightFinding& known = findings_[place->second];
    known.set_num_rows(known.num_rows() + 1);
    if (fault.row < known.row()) {
      known.set_row(fault.row);
      known.set_message(Abbreviated(fault.what));
    }
    return;
  }
  ++num_errors_;
  if (!has_room) return;
  PreflightFinding& finding = findings_.emplace_back();
  finding.set_severity(PreflightFinding::SEVERITY_ERROR);
  finding.set_reason(NameOf(fault.reason));
  finding.set_field(fault.spec_field);
  finding.set_row(fault.row);
  finding.set_row_field(fault.row_field);
  finding.set_num_rows(fault.row > 0 ? 1 : 0);
  finding.set_message(Abbreviated(fault.what));
}

void PreflightFindings::AddWarning(PreflightFinding finding) {
  ++num_warnings_;
  finding.set_severity(PreflightFinding::SEVERITY_WARNING);
  findings_.push_back(std::move(finding));
}

void PreflightFindings::MoveTo(
    attune::v1::PreflightTuningJobResponse& response) {
  std::stable_sort(findings_.begin(), findings_.end(),
                   [](const PreflightFinding& a, const PreflightFinding& b) {
                     return std::tuple(-a.severity(), a.row()) <
                            std::tuple(-b.severity(), b.row());
                   });
  if (findings_.size() > kMaxFindings) findings_.resize(kMaxFindings);
  response.set_num_errors(num_errors_);
  response.set_num_warnings(num_warnings_);
  for (PreflightFinding& finding : findings_) {
    *response.add_findings() = std::move(finding);
  }
}

}  // namespace attune::worker
