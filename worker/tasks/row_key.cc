#include "worker/tasks/row_key.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "proto/cc/digest.h"
#include "proto/cc/text.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/row_answer.h"
#include "worker/tasks/row_fields.h"

namespace attune::worker {
namespace {

using nlohmann::json;

RowKey KeyOf(std::string_view text) {
  constexpr size_t kDigits = 16;
  const std::string digest = Sha256Hex(text);
  RowKey key;
  // Of 16 hexadecimal digits each, which always parse.
  (void)absl::SimpleHexAtoi(digest.substr(0, kDigits), &key.high);
  (void)absl::SimpleHexAtoi(digest.substr(kDigits, kDigits), &key.low);
  return key;
}

void NormaliseTexts(json& value) {
  if (value.is_structured()) {
    for (json& item : value) NormaliseTexts(item);
  } else if (value.is_string()) {
    value = OneSpaced(value.get<std::string>());
  }
}

// A list of words as the text that it stands for; others as they are.
json WordsAsText(const json& value) {
  if (!value.is_array()) return value;
  std::string text;
  for (const json& word : value) {
    if (!word.is_string()) return value;
    text += Concat(text.empty() ? "" : " ", word.get<std::string>());
  }
  return text;
}

std::string TextsAt(const TaskProgram& program, const Example& example) {
  const json fields =
      json::parse(example.fields, nullptr, /*allow_exceptions=*/false);
  const std::string context = fields.value(
      program.task().span_reading().context_field(), std::string());
  std::set<std::string> texts;
  for (const ContextSpan& span : SpansOf(example.answer)) {
    if (span.end > context.size()) continue;
    texts.insert(OneSpaced(context.substr(span.begin, span.end - span.begin)));
  }
  return json(texts).dump();
}

}  // namespace

RowKey QuestionKey(const TaskProgram& program, std::string_view fields) {
  const absl::StatusOr<json> values = ParseFields(fields);
  json read = json::object();
  for (const std::string& name : program.fields_read()) {
    if (!values.ok() || !values->contains(name)) continue;
    const json& value = (*values)[name];
    read[name] = program.is_tagging() && name == program.task().tokens_field()
                     ? WordsAsText(value)
                     : value;
  }
  NormaliseTexts(read);
  return KeyOf(DumpFields(read));
}

RowKey TextKey(std::string_view text) {
  return KeyOf(absl::AsciiStrToLower(OneSpaced(std::string(text))));
}

RowKey WholeKey(const TaskProgram& program, const RowKey& question,
                const Example& example) {
  // Labels, tags and numbers have one spelling already.
  std::string answer = example.answer;
  if (program.is_extraction()) {
    answer = TextsAt(program, example);
  } else if (!program.is_label_set() && !program.is_tagging()) {
    answer = OneSpaced(std::move(answer));
  }
  return KeyOf(Concat(question.high, " ", question.low, " ", answer));
}

}  // namespace attune::worker
