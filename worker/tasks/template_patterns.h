#ifndef ATTUNE_WORKER_TASKS_TEMPLATE_PATTERNS_H_
#define ATTUNE_WORKER_TASKS_TEMPLATE_PATTERNS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_program.h"

// Templates that are made of other templates. Pure functions.
namespace attune::worker {

// Patterns list the words of no more labels than these.
inline constexpr size_t kMaxListedLabels = 20;

// Other templates for the fields that `program`'s template reads, in the order
// of FieldsInTemplate: all of them bare or behind their names, with words that
// lead to an answer and lines that say what is asked for. They end where label
// words, a choice or a text goes on behind a space of its own or, at a mask,
// have {{ mask }} once. Distinct, and none is the task's own. Of up to
// kMaxListedLabels labels some list the first words, if these are plain.
// Empty unless every field that is read is a text, a number or a boolean in all
// of `rows` that have it, and for tasks that neither weigh words or choices nor
// generate, or have the prompt's rows at markers.
std::vector<std::string> TemplatePatterns(const TaskProgram& program,
                                          absl::Span<const Example> rows);

// `template_` behind an instruction and an empty line, which stays where the
// template takes away white space before it; nullopt if the instruction is not
// plain.
std::optional<std::string> WithInstruction(std::string_view instruction,
                                           std::string_view template_);

// Whether Jinja shows `text` as it stands: it begins no code.
bool IsPlainInTemplate(std::string_view text);

// The fields that `program`'s template reads, in the order in which its code
// names them first.
std::vector<std::string> FieldsInTemplate(const TaskProgram& program);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TEMPLATE_PATTERNS_H_
