#include "server/api/template_checks.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"
#include "server/api/task_checks.h"

namespace attune::server {
namespace {

// Adds a violation for each reason why the task's answers are not averaged.
void CheckHasProbabilities(const v1::TaskSpec& task, std::string_view path,
                           FieldViolations& violations) {
  if (task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION &&
      task.type() != v1::TASK_TYPE_MULTIPLE_CHOICE) {
    violations.Add(path,
                   "are only for TASK_TYPE_TEXT_CLASSIFICATION and "
                   "TASK_TYPE_MULTIPLE_CHOICE");
  } else if (NeedsHead(task)) {
    violations.Add(path,
                   "are for label words: LABEL_SCORING_HEAD and multi_label "
                   "weigh labels by a head, which is trained behind one "
                   "template");
  }
  if (task.prompt_placement() == v1::PROMPT_PLACEMENT_MARKERS) {
    violations.Add(path,
                   "cannot be set together with PROMPT_PLACEMENT_MARKERS: the "
                   "rows of a soft prompt are trained for one template");
  }
}

}  // namespace

void CheckTemplate(const std::string& text, std::string_view path,
                   FieldViolations& violations) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    violations.Add(path, "is required and must not be blank");
  } else if (text.size() > kMaxTemplateBytes) {
    violations.Add(path, Concat("has ", text.size(), " bytes; at most ",
                                kMaxTemplateBytes));
  }
}

void CheckTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& templates, int most,
    std::string_view path, FieldViolations& violations) {
  if (templates.size() > most) {
    violations.Add(path, Concat("has ", templates.size(), "; at most ", most));
    return;
  }
  size_t total = 0;
  std::set<std::string_view> seen;
  for (int i = 0; i < templates.size(); ++i) {
    const std::string& text = templates.Get(i);
    const std::string own = Concat(path, "[", i, "]");
    total += text.size();
    if (seen.insert(text).second) {
      CheckTemplate(text, own, violations);
    } else {
      violations.Add(own, "is there twice");
    }
  }
  if (total > kMaxTemplatesBytes) {
    violations.Add(path, Concat("have ", total, " bytes in all; at most ",
                                kMaxTemplatesBytes));
  }
}

void CheckMoreTemplates(const v1::TaskSpec& task, std::string_view path,
                        FieldViolations& violations) {
  if (task.more_templates().empty()) return;
  CheckHasProbabilities(task, path, violations);
  CheckTemplates(task.more_templates(), kMaxMoreTemplates, path, violations);
  const int count = std::min(task.more_templates_size(), kMaxMoreTemplates);
  for (int i = 0; i < count; ++i) {
    if (task.more_templates(i) != task.template_()) continue;
    // An empty one is refused as such.
    if (task.more_templates(i).empty()) continue;
    violations.Add(Concat(path, "[", i, "]"),
                   "is the task's first template, which answers anyway");
  }
}

}  // namespace attune::server
