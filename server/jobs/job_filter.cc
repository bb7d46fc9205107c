#include "server/jobs/job_filter.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/jobs/job_state.h"

namespace attune::server {
namespace {

using Field = JobCondition::Field;
using Operator = JobCondition::Operator;

constexpr size_t kMaxFilterBytes = 4096;
constexpr size_t kMaxConditions = 16;

constexpr std::pair<std::string_view, Field> kFields[] = {
    {"state", Field::kState},
    {"prompt", Field::kPrompt},
    {"base_model", Field::kBaseModel},
    {"worker", Field::kWorker},
    {"create_time", Field::kCreateTime},
};

// Walks along a filter. Not thread-safe.
class FilterParser {
 public:
  explicit FilterParser(std::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<JobCondition>> Parse() {
    std::vector<JobCondition> conditions;
    if (text_.size() > kMaxFilterBytes) {
      return Wrong(Concat("is longer than ", kMaxFilterBytes, " bytes"));
    }
    SkipSpaces();
    if (AtEnd()) return conditions;
    while (true) {
      if (conditions.size() == kMaxConditions) {
        return Wrong(Concat("has more than ", kMaxConditions, " conditions"));
      }
      ATTUNE_ASSIGN_OR_RETURN(JobCondition condition, ParseCondition());
      conditions.push_back(std::move(condition));
      SkipSpaces();
      if (AtEnd()) return conditions;
      if (TakeWord() != "AND") return Wrong("expects AND or its end");
    }
  }

 private:
  absl::StatusOr<JobCondition> ParseCondition() {
    JobCondition condition;
    std::string_view name = TakeWord();
    std::optional<Field> field;
    for (const auto& [known, value] : kFields) {
      if (known == name) field = value;
    }
    if (!field) {
      return Wrong(Concat("has '", name.substr(0, 64),
                          "' where it expects state, prompt, base_model, "
                          "worker or create_time"));
    }
    condition.field = *field;
    ATTUNE_ASSIGN_OR_RETURN(condition.op, ParseOperator(*field));
    ATTUNE_ASSIGN_OR_RETURN(std::string value, ParseString());
    ATTUNE_RETURN_IF_ERROR(SetValue(std::move(value), condition));
    return condition;
  }

  absl::StatusOr<Operator> ParseOperator(Field field) {
    SkipSpaces();
    if (Take("!=")) return Operator::kNotEqual;
    if (Take("=")) return Operator::kEqual;
    if (field == Field::kCreateTime) {
      if (Take("<")) return Operator::kLess;
      if (Take(">")) return Operator::kGreater;
      return Wrong("expects =, !=, < or >");
    }
    return Wrong("expects = or !=");
  }

  absl::StatusOr<std::string> ParseString() {
    SkipSpaces();
    if (!Take("\"")) return Wrong("expects a value in double quotes");
    std::string value;
    while (!AtEnd()) {
      char c = text_[position_++];
      if (c == '"') return value;
      if (c == '\\') {
        if (AtEnd() || (text_[position_] != '"' && text_[position_] != '\\')) {
          return Wrong("allows only \\\" and \\\\ after a backslash");
        }
        c = text_[position_++];
      }
      value += c;
    }
    return Wrong("has a value without its closing double quote");
  }

  absl::Status SetValue(std::string value, JobCondition& condition) {
    if (condition.field == Field::kState) {
      std::optional<JobState> state = FindJobState(value);
      if (!state) {
        return Wrong(Concat("has '", value.substr(0, 64),
                            "', which is not a state such as RUNNING"));
      }
      condition.number = *state;
    } else if (condition.field == Field::kCreateTime) {
      absl::Time time;
      std::string error;
      if (!absl::ParseTime(absl::RFC3339_full, value, &time, &error) ||
          time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
        return Wrong(Concat("has '", value.substr(0, 64),
                            "', which is not a time such as "
                            "2024-01-31T10:00:00Z"));
      }
      condition.number = absl::ToUnixMicros(time);
    } else {
      condition.text = std::move(value);
    }
    return absl::OkStatus();
  }

  bool AtEnd() const { return position_ >= text_.size(); }
  void SkipSpaces() {
    while (!AtEnd() &&
           absl::ascii_isspace(static_cast<unsigned char>(text_[position_]))) {
      ++position_;
    }
  }
  bool Take(std::string_view token) {
    if (text_.substr(position_, token.size()) != token) return false;
    position_ += token.size();
    return true;
  }
  // Letters and underscores; may be empty.
  std::string_view TakeWord() {
    SkipSpaces();
    size_t begin = position_;
    while (!AtEnd() &&
           (absl::ascii_isalpha(static_cast<unsigned char>(text_[position_])) ||
            text_[position_] == '_')) {
      ++position_;
    }
    return text_.substr(begin, position_ - begin);
  }
  absl::Status Wrong(std::string_view what) const {
    return MakeError(Reason::kInvalidFilter,
                     Concat("filter ", what, " (at byte ", position_,
                            "); an example: state = \"RUNNING\" AND prompt = "
                            "\"prompts/x\""));
  }

  const std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<JobCondition>> ParseJobFilter(
    std::string_view filter) {
  return FilterParser(filter).Parse();
}

}  // namespace attune::server
