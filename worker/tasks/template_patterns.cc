#include "worker/tasks/template_patterns.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"
#include "worker/tasks/plain_text.h"

namespace attune::worker {
namespace {

using nlohmann::json;

constexpr std::string_view kMaskPlace = "{{ mask }}";

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Behind the text in quotes that begins at `begin` of `source`.
size_t EndOfQuoted(std::string_view source, size_t begin) {
  size_t end = begin + 1;
  while (end < source.size() && source[end] != source[begin]) {
    end += source[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, source.size());
}

// Adds what could be variables in the code that begins at `at` of `source` to
// `names`. Returns where it ends.
size_t ReadNames(std::string_view source, size_t at, std::string_view close,
                 std::vector<std::string>& names) {
  char before = ' ';  // no white space
  while (at < source.size() && source.substr(at, close.size()) != close) {
    const char c = source[at];
    size_t end = at + 1;
    if (c == '"' || c == '\'') {
      end = EndOfQuoted(source, at);
    } else if (IsNameCharacter(c)) {
      while (end < source.size() && IsNameCharacter(source[end])) ++end;
      // Behind a dot stands a part of a value, behind a bar a filter.
      if (before != '.' && before != '|') {
        names.emplace_back(source.substr(at, end - at));
      }
    }
    if (!absl::ascii_isspace(static_cast<unsigned char>(c))) before = c;
    at = end;
  }
  return at;
}

// What could be variables in the code of a template, words of Jinja among it.
std::vector<std::string> NamesInCode(std::string_view source) {
  std::vector<std::string> names;
  size_t at = 0;
  while ((at = source.find('{', at)) != source.npos) {
    const std::string_view open = source.substr(at, 2);
    if (open == "{#") {
      at = source.find("#}", at + 2);
      if (at == source.npos) break;
    } else if (open == "{{" || open == "{%") {
      at = ReadNames(source, at + 2, open == "{{" ? "}}" : "%}", names);
    } else {
      ++at;
    }
  }
  return names;
}

// Whether the code that a template begins with takes away what white space
// stands before it.
bool TakesSpaceBefore(std::string_view source) {
  const size_t begin = source.find_first_not_of(" \t\r\n\f\v");
  if (begin == source.npos) return false;
  const std::string_view code = source.substr(begin, 3);
  return code == "{{-" || code == "{%-" || code == "{#-";
}

bool AreScalars(const std::vector<std::string>& fields,
                absl::Span<const Example> rows) {
  const auto is_scalar = [&fields](const Example& row) {
    const json values =
        json::parse(row.fields, nullptr, /*allow_exceptions=*/false);
    return std::all_of(fields.begin(), fields.end(),
                       [&values](const std::string& field) {
                         const auto found = values.find(field);
                         return found == values.end() || found->is_string() ||
                                found->is_number() || found->is_boolean();
                       });
  };
  return std::all_of(rows.begin(), rows.end(), is_scalar);
}

// A field's name as it stands before its value: "Customer query" of
// customer_query. Empty if there is nothing but underscores.
std::string TitleOf(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  name = OneSpaced(std::move(name));
  if (!name.empty()) {
    name[0] = absl::ascii_toupper(static_cast<unsigned char>(name[0]));
  }
  return name;
}

// The first words of the labels as "one, another or a third"; empty where they
// are not to be listed.
std::string ListedWords(const TaskProgram& program) {
  const auto& labels = program.task().labels();
  const size_t size = program.labels().size();
  if (size > kMaxListedLabels) return "";
  std::string list;
  for (size_t i = 0; i < size; ++i) {
    const std::string& word = labels[static_cast<int>(i)].words(0);
    if (!IsPlainInTemplate(word)) return "";
    list += Concat(i == 0 ? "" : i + 1 == size ? " or " : ", ", word);
  }
  return list;
}

// What patterns are put together from.
struct PatternParts {
  std::vector<std::string> fields;  // each as code
  std::string bare;                 // all of them
  std::string named;                // each behind its name
  std::string answer;               // the answer's name, with a colon
  std::string listed;               // ListedWords
};

PatternParts PartsOf(const TaskProgram& program,
                     const std::vector<std::string>& names) {
  // At a mask the text is one sentence or a few.
  const char* const separator = program.scores_at_mask() ? " " : "\n";
  PatternParts parts;
  parts.fields.reserve(names.size());
  for (const std::string& name : names) {
    const std::string& field =
        parts.fields.emplace_back(Concat("{{ ", name, " }}"));
    const std::string title = TitleOf(name);
    const char* const between = parts.bare.empty() ? "" : separator;
    parts.bare += Concat(between, field);
    parts.named += Concat(between, title.empty() ? "Text" : title, ": ", field);
  }
  // Any text may name a field that no code reads.
  const std::string title = TitleOf(program.task().answer_field());
  const bool is_shown = !title.empty() && IsPlainInTemplate(title);
  parts.answer = Concat(is_shown ? title : "Answer", ":");
  if (program.is_classification()) parts.listed = ListedWords(program);
  return parts;
}

std::vector<std::string> PatternsBehindText(const PatternParts& parts) {
  const auto& [fields, bare, named, answer, listed] = parts;
  std::vector<std::string> patterns;
  const std::string_view titles[] = {
      answer, "Label:", "Category:", "Topic:", "Answer:"};
  for (const std::string_view title : titles) {
    patterns.push_back(Concat(bare, "\n", title));
    patterns.push_back(Concat(named, "\n", title));
  }
  for (const char* words :
       {" =>", "\nThis is about", "\nIt was", "\nIn one word:"}) {
    patterns.push_back(Concat(bare, words));
  }
  patterns.push_back(Concat(named, "\n\n", answer));
  if (listed.empty()) return patterns;
  const std::string question = Concat("Which of these fits: ", listed, "?");
  patterns.insert(
      patterns.end(),
      {Concat(bare, "\n", question, "\nAnswer:"),
       Concat(named, "\n", question, "\n", answer),
       Concat(question, "\n\n", bare, "\nAnswer:"),
       Concat("Choose one: ", listed, ".\n\n", named, "\n", answer),
       Concat("The following is ", listed, ".\n\n", bare, "\n\nIt is"),
       Concat(bare, "\nIs this ", listed, "? It is")});
  return patterns;
}

std::vector<std::string> PatternsAtMask(const PatternParts& parts) {
  const auto& [fields, bare, named, answer, listed] = parts;
  std::vector<std::string> patterns;
  for (const char* words : {" It was ", " It is ", " This is about ",
                            " All in all, it was ", " In one word: "}) {
    patterns.push_back(Concat(bare, words, kMaskPlace, "."));
  }
  const std::string_view titles[] = {answer, "Topic:", "Category:"};
  for (const std::string_view title : titles) {
    patterns.push_back(Concat(bare, " ", title, " ", kMaskPlace, "."));
    patterns.push_back(Concat(named, " ", title, " ", kMaskPlace, "."));
    patterns.push_back(Concat(title, " ", kMaskPlace, ". ", bare));
  }
  patterns.push_back(Concat(kMaskPlace, ": ", bare));
  patterns.push_back(Concat("This is ", kMaskPlace, ": ", bare));
  if (fields.size() == 2) {
    // The mask stands for the word that joins them.
    patterns.push_back(Concat(fields[0], "? ", kMaskPlace, ", ", fields[1]));
    patterns.push_back(Concat(fields[0], " ", kMaskPlace, ", ", fields[1]));
  }
  if (listed.empty()) return patterns;
  patterns.push_back(
      Concat(bare, " Which of these fits: ", listed, "? ", kMaskPlace, "."));
  patterns.push_back(
      Concat("This is one of ", listed, ": ", kMaskPlace, ". ", bare));
  return patterns;
}

std::vector<std::string> PatternsOfChoices(const PatternParts& parts) {
  const auto& [fields, bare, named, answer, listed] = parts;
  std::string in_one_line;
  for (const std::string& field : fields) {
    in_one_line += Concat(in_one_line.empty() ? "" : " ", field);
  }
  return {bare,
          named,
          in_one_line,
          Concat(bare, "\nAnswer:"),
          Concat(named, "\nAnswer:"),
          Concat("Question: ", bare, "\nAnswer:"),
          Concat(bare, "\nThe answer is"),
          Concat(bare, "\nWhat fits best:"),
          Concat("Go on with what fits best.\n\n", in_one_line),
          Concat("Give the right answer.\n\n", named, "\nAnswer:")};
}

std::vector<std::string> PatternsOfTexts(const PatternParts& parts) {
  const auto& [fields, bare, named, answer, listed] = parts;
  return {Concat(bare, "\n", answer),
          Concat(named, "\n", answer),
          Concat(named, "\n\n", answer),
          Concat(bare, "\nAnswer:"),
          Concat(named, "\nAnswer:"),
          Concat(bare, "\nOutput:"),
          Concat(bare, " =>"),
          Concat("Input: ", bare, "\nOutput:"),
          Concat("Q: ", bare, "\nA:"),
          Concat("### Input:\n", bare, "\n\n### Output:")};
}

std::vector<std::string> AllPatterns(const TaskProgram& program,
                                     const PatternParts& parts) {
  if (program.scores_behind_text()) return PatternsBehindText(parts);
  if (program.scores_at_mask()) return PatternsAtMask(parts);
  if (program.is_choice()) return PatternsOfChoices(parts);
  if (program.is_generation()) return PatternsOfTexts(parts);
  return {};
}

}  // namespace

std::vector<std::string> TemplatePatterns(const TaskProgram& program,
                                          absl::Span<const Example> rows) {
  const std::vector<std::string> fields = FieldsInTemplate(program);
  if (fields.empty() || program.has_markers() || !AreScalars(fields, rows)) {
    return {};
  }
  std::vector<std::string> patterns =
      AllPatterns(program, PartsOf(program, fields));
  std::set<std::string> seen = {program.task().template_()};
  std::vector<std::string> distinct;
  distinct.reserve(patterns.size());
  for (std::string& pattern : patterns) {
    if (seen.insert(pattern).second) distinct.push_back(std::move(pattern));
  }
  return distinct;
}

std::optional<std::string> WithInstruction(std::string_view instruction,
                                           std::string_view template_) {
  if (!IsPlainInTemplate(instruction)) return std::nullopt;
  // Nothing takes away what code puts into the text.
  const bool is_kept = !TakesSpaceBefore(template_);
  return Concat(instruction, is_kept ? "\n\n" : "\n{{ '\\n' }}", template_);
}

bool IsPlainInTemplate(std::string_view text) {
  return text.find("{{") == text.npos && text.find("{%") == text.npos &&
         text.find("{#") == text.npos;
}

std::vector<std::string> FieldsInTemplate(const TaskProgram& program) {
  const std::set<std::string>& read = program.fields_read();
  std::vector<std::string> fields;
  fields.reserve(read.size());
  std::set<std::string> missing = read;
  for (std::string& name : NamesInCode(program.task().template_())) {
    if (missing.erase(name) > 0) fields.push_back(std::move(name));
  }
  // Code that is not understood here decides no order.
  fields.insert(fields.end(), missing.begin(), missing.end());
  return fields;
}

}  // namespace attune::worker
