#include "worker/tasks/shown_text.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "worker/tasks/outcome_metrics.h"

namespace attune::worker {
namespace {

bool BeginsCodePoint(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace

std::string Abbreviated(std::string text, size_t max_bytes) {
  constexpr std::string_view kGap = " ... ";
  if (text.size() <= max_bytes) return text;
  size_t begin = (max_bytes - kGap.size()) / 2;
  size_t end = text.size() - begin;
  while (begin > 0 && !BeginsCodePoint(text[begin])) --begin;
  while (end < text.size() && !BeginsCodePoint(text[end])) ++end;
  return text.replace(begin, end - begin, kGap);
}

std::string DecodedInput(const TaskProgram& program, const TaskInput& input) {
  absl::StatusOr<std::string> text = program.model().tokenizer->Decode(
      input.ids, /*skip_special_tokens=*/true);
  return text.ok() ? *std::move(text) : std::string();
}

std::string JoinLabels(const TaskProgram& program,
                       const std::vector<int>& labels, const char* separator) {
  std::vector<std::string> names;
  names.reserve(labels.size());
  for (const int label : labels) names.push_back(program.labels()[label]);
  return absl::StrJoin(names, separator);
}

std::string RightText(const TaskProgram& program,
                      const PreparedExample& example) {
  if (program.is_extraction()) {
    return absl::StrJoin(RightTexts(program, example), " / ");
  }
  if (program.is_label_set()) return JoinLabels(program, example.labels, ", ");
  return example.answer;
}

}  // namespace attune::worker
