#include "worker/tasks/shown_text.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/text.h"
#include "worker/tasks/outcome_metrics.h"
#include "worker/tasks/prompt_marks.h"

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
  const auto is_row = [](int64_t id) { return PromptRowOfId(id) >= 0; };
  std::string shown;
  for (auto begin = input.ids.begin(); begin != input.ids.end();) {
    const auto end = is_row(*begin)
                         ? std::find_if_not(begin, input.ids.end(), is_row)
                         : std::find_if(begin, input.ids.end(), is_row);
    if (is_row(*begin)) {
      const auto count = end - begin;
      shown +=
          Concat("[", count, count == 1 ? " row" : " rows", " of the prompt]");
    } else if (const absl::StatusOr<std::string> text =
                   program.model().tokenizer->Decode(
                       {begin, end}, /*skip_special_tokens=*/true);
               text.ok()) {
      shown += *text;
    }
    begin = end;
  }
  return shown;
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
  if (program.is_extraction() || program.is_generation()) {
    return absl::StrJoin(RightTexts(program, example), " / ");
  }
  if (program.is_label_set()) return JoinLabels(program, example.labels, ", ");
  return example.answer;
}

}  // namespace attune::worker
