#include "proto/cc/resource_names.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

constexpr size_t kMaxIdBytes = 63;
constexpr std::string_view kPromptForms =
    "prompts/{id}, prompts/{id}@{alias} or prompts/{id}/versions/{n}";

bool IsLowerLetter(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Whether `id` is made of a-z, 0-9 and `marks`, the marks only inside.
bool IsId(std::string_view id, std::string_view marks) {
  if (id.empty() || id.size() > kMaxIdBytes || !IsLowerLetter(id.front()) ||
      marks.find(id.back()) != marks.npos) {
    return false;
  }
  return std::all_of(id.begin(), id.end(), [&](char c) {
    return IsLowerLetter(c) || IsDigit(c) || marks.find(c) != marks.npos;
  });
}

bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "12" -> 12; 0 unless `text` is a positive number without leading zeros.
int64_t ParseVersionNumber(std::string_view text) {
  int64_t number = 0;
  const bool digits = !text.empty() && text.front() != '0' &&
                      std::all_of(text.begin(), text.end(), IsDigit);
  return digits && absl::SimpleAtoi(ToAbsl(text), &number) ? number : 0;
}

absl::Status WrongName(std::string_view name, std::string_view field,
                       std::string_view form) {
  if (name.empty()) {
    return InvalidField(field, Concat("is required: ", form));
  }
  return InvalidField(field, Concat("'", name, "' is not of the form ", form));
}

}  // namespace

bool IsResourceId(std::string_view id) { return IsId(id, "-"); }
bool IsModelId(std::string_view id) { return IsId(id, "-._"); }

std::string ResourceName(std::string_view collection, std::string_view id) {
  return Concat(collection, "/", id);
}

absl::StatusOr<std::string> ParseResourceName(std::string_view collection,
                                              std::string_view name,
                                              std::string_view field) {
  std::string_view id = name;
  const bool has_prefix =
      ConsumePrefix(id, collection) && ConsumePrefix(id, "/");
  const bool is_id =
      collection == kModelCollection ? IsModelId(id) : IsResourceId(id);
  if (!has_prefix || !is_id) {
    return WrongName(name, field, ResourceName(collection, "{id}"));
  }
  return std::string(id);
}

absl::StatusOr<PromptReference> ParsePromptReference(std::string_view name,
                                                     std::string_view field) {
  std::string_view rest = name;
  const absl::Status wrong = WrongName(name, field, kPromptForms);
  if (!ConsumePrefix(rest, kPromptCollection) || !ConsumePrefix(rest, "/")) {
    return wrong;
  }
  PromptReference reference;
  const size_t end = rest.find_first_of("@/");
  reference.prompt_id = std::string(rest.substr(0, end));
  if (!IsResourceId(reference.prompt_id)) return wrong;
  if (end == rest.npos) {
    reference.version = std::string(kLatestAlias);
    return reference;
  }
  rest.remove_prefix(end);
  if (ConsumePrefix(rest, "@")) {
    if (!IsResourceId(rest)) return wrong;
    reference.version = std::string(rest);
    return reference;
  }
  if (!ConsumePrefix(rest, "/versions/")) return wrong;
  const int64_t number = ParseVersionNumber(rest);
  if (number == 0) return wrong;
  reference.version = number;
  return reference;
}

std::string VersionName(std::string_view prompt_id, int64_t version) {
  return Concat(kPromptCollection, "/", prompt_id, "/versions/", version);
}

}  // namespace attune
