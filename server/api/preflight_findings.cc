#include "server/api/preflight_findings.h"

#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "google/rpc/error_details.pb.h"
#include "proto/cc/status.h"
#include "server/api/tuning_checks.h"

namespace attune::server {
namespace {

using v1::PreflightFinding;
using v1::PreflightTuningJobResponse;

constexpr std::string_view kJob = "tuning_job.";

std::string ReasonName(Reason reason) {
  return std::string(AllReasons()[static_cast<size_t>(reason)].name);
}

// A path in the request that would create the job, as one in this request.
std::string PathInPreflight(std::string_view path) {
  if (path.starts_with(kJob)) path.remove_prefix(kJob.size());
  return std::string(path);
}

void Add(Reason reason, std::string_view field, std::string message,
         PreflightTuningJobResponse& response) {
  PreflightFinding& finding = *response.add_findings();
  finding.set_severity(PreflightFinding::SEVERITY_ERROR);
  finding.set_reason(ReasonName(reason));
  finding.set_field(PathInPreflight(field));
  finding.set_message(std::move(message));
  response.set_num_errors(response.num_errors() + 1);
}

// The fields of the spec that findings refuse.
std::set<std::string> RefusedFields(
    const google::protobuf::RepeatedPtrField<PreflightFinding>& findings) {
  std::set<std::string> fields;
  for (const PreflightFinding& finding : findings) {
    if (finding.severity() == PreflightFinding::SEVERITY_ERROR &&
        finding.row() == 0 && !finding.field().empty()) {
      fields.insert(finding.field());
    }
  }
  return fields;
}

// What makes two findings the same. Findings about rows may well be alike.
using FindingKey = std::tuple<std::string, std::string, int64_t, std::string>;

FindingKey KeyOf(const PreflightFinding& finding) {
  return {finding.field(), finding.message(), finding.row(),
          finding.row_field()};
}

}  // namespace

void FindWrongFields(const v1::PreflightTuningJobRequest& request,
                     PreflightTuningJobResponse& response) {
  v1::CreateTuningJobRequest create;
  *create.mutable_tuning_job()->mutable_spec() = request.spec();
  const FieldViolations violations = FindViolations(create);
  for (const FieldViolations::Violation& one : violations.violations()) {
    Add(one.unsupported ? Reason::kUnsupportedField : Reason::kInvalidField,
        one.path, one.description, response);
  }
}

void AddError(const absl::Status& status, std::string_view field,
              PreflightTuningJobResponse& response) {
  FieldViolations violations;
  violations.AddAll("", status);
  for (const FieldViolations::Violation& one : violations.violations()) {
    Add(ReasonOf(status), one.path.empty() ? field : one.path, one.description,
        response);
  }
}

void JoinFindings(PreflightTuningJobResponse found_by_worker,
                  PreflightTuningJobResponse& response) {
  PreflightTuningJobResponse joined = std::move(found_by_worker);
  google::protobuf::RepeatedPtrField<PreflightFinding> all;
  all.Swap(response.mutable_findings());
  int64_t num_errors = response.num_errors() + joined.num_errors();
  int64_t num_warnings = response.num_warnings() + joined.num_warnings();
  // The worker refuses the same fields in words of its own.
  const std::set<std::string> refused = RefusedFields(all);
  for (PreflightFinding& finding : *joined.mutable_findings()) {
    if (finding.severity() == PreflightFinding::SEVERITY_ERROR &&
        finding.row() == 0 && refused.contains(finding.field())) {
      --num_errors;
    } else {
      all.Add()->Swap(&finding);
    }
  }
  joined.clear_findings();
  std::set<FindingKey> seen;
  for (const auto severity :
       {PreflightFinding::SEVERITY_ERROR, PreflightFinding::SEVERITY_WARNING}) {
    for (PreflightFinding& finding : all) {
      if (finding.severity() != severity) continue;
      if (!seen.insert(KeyOf(finding)).second) {
        --(severity == PreflightFinding::SEVERITY_ERROR ? num_errors
                                                        : num_warnings);
      } else if (joined.findings_size() < kMaxPreflightFindings) {
        *joined.add_findings() = finding;
      }
    }
  }
  joined.set_num_errors(num_errors);
  joined.set_num_warnings(num_warnings);
  if (num_errors > 0) {
    joined.clear_resolved_spec();
    joined.clear_cost();
  }
  response = std::move(joined);
}

}  // namespace attune::server
