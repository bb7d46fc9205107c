#include "worker/models/vocabulary_files.h"

#include <nlohmann/json.hpp>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

constexpr int64_t kMaxVocabularyId = int64_t{1} << 24;

// Unicode's white space beyond ASCII, in UTF-8.
constexpr std::string_view kWideSpaces[] = {
    "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
    "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

// The length of the white space character that ends `text`, or 0.
size_t TrailingSpaceSize(std::string_view text) {
  if (text.empty()) return 0;
  const char last = text.back();
  if (last == ' ' || (last >= '\t' && last <= '\r')) return 1;
  for (const std::string_view space : kWideSpaces) {
    if (text.ends_with(space)) return space.size();
  }
  return 0;
}

std::string_view WithoutTrailingSpace(std::string_view text) {
  while (const size_t size = TrailingSpaceSize(text)) text.remove_suffix(size);
  return text;
}

// The text without its last line break, cut at the others.
std::vector<std::string_view> Lines(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

absl::Status BadLine(const std::string& path, size_t index,
                     std::string_view what) {
  return CorruptFile(path, Concat("line ", index + 1, ": ", what));
}

// Whether nlohmann-json could write it.
bool IsUtf8(std::string_view text) {
  try {
    static_cast<void>(nlohmann::json(std::string(text)).dump());
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

bool Vocabulary::Add(std::string token, int64_t id) {
  if (tokens_.contains(id)) return false;
  const auto [it, added] = ids_.emplace(std::move(token), id);
  if (added) tokens_.emplace(id, &it->first);
  return added;
}

int64_t Vocabulary::Find(std::string_view token) const {
  const auto it = ids_.find(std::string(token));
  return it == ids_.end() ? -1 : it->second;
}

const std::string* Vocabulary::TokenOf(int64_t id) const {
  const auto it = tokens_.find(id);
  return it == tokens_.end() ? nullptr : it->second;
}

absl::StatusOr<Vocabulary> ReadVocabTxt(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                          ReadSmallFile(path, kMaxVocabularyBytes));
  const std::vector<std::string_view> lines = Lines(text);
  Vocabulary vocabulary;
  int64_t empty_line = -1;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view token = WithoutTrailingSpace(lines[i]);
    if (token.empty()) {
      // Takes an id and stands for nothing.
      empty_line = static_cast<int64_t>(i);
      continue;
    }
    if (!IsUtf8(token)) return BadLine(path, i, "it is not UTF-8");
    if (!vocabulary.Add(std::string(token), static_cast<int64_t>(i))) {
      return BadLine(path, i,
                     Concat("token '", token, "' is also in line ",
                            vocabulary.Find(token) + 1));
    }
  }
  if (vocabulary.size() == 0) return CorruptFile(path, "it has no tokens");
  if (empty_line >= 0) vocabulary.Add("", empty_line);
  return vocabulary;
}

absl::StatusOr<Vocabulary> ReadVocabJson(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json object,
                          ReadJsonFile(path, kMaxVocabularyBytes));
  if (!object.is_object() || object.empty()) {
    return CorruptFile(path, "not an object of tokens and ids");
  }
  Vocabulary vocabulary;
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_integer() || id < 0 || id >= kMaxVocabularyId) {
      return CorruptFile(
          path, Concat("the id of token '", token, "', ", id.dump(),
                       ", is no whole number in [0, ", kMaxVocabularyId, ")"));
    }
    if (!vocabulary.Add(token, id.get<int64_t>())) {
      return CorruptFile(
          path, Concat("tokens '", *vocabulary.TokenOf(id.get<int64_t>()),
                       "' and '", token, "' both have the id ", id.dump()));
    }
  }
  return vocabulary;
}

absl::StatusOr<MergePairs> ReadMergesTxt(const std::string& path,
                                         const Vocabulary& vocabulary) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                          ReadSmallFile(path, kMaxVocabularyBytes));
  const std::vector<std::string_view> lines = Lines(text);
  MergePairs merges;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string_view line = lines[i];
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version") || line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || space != line.rfind(' ')) {
      return BadLine(path, i, "not two tokens with one space between them");
    }
    std::string first(line.substr(0, space));
    std::string second(line.substr(space + 1));
    for (const std::string& token : {first, second, first + second}) {
      if (vocabulary.Find(token) < 0) {
        return BadLine(path, i,
                       IsUtf8(token)
                           ? Concat("'", token, "' is not in the vocabulary")
                           : "it is not UTF-8");
      }
    }
    merges.emplace_back(std::move(first), std::move(second));
  }
  return merges;
}

}  // namespace attune::worker
