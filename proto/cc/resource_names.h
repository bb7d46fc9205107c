#ifndef ATTUNE_PROTO_CC_RESOURCE_NAMES_H_
#define ATTUNE_PROTO_CC_RESOURCE_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune {

inline constexpr std::string_view kJobCollection = "tuningJobs";
inline constexpr std::string_view kPromptCollection = "prompts";
inline constexpr std::string_view kDatasetCollection = "datasets";
inline constexpr std::string_view kModelCollection = "models";
inline constexpr std::string_view kLatestAlias = "latest";

// Whether `id` is 1 to 63 of a-z, 0-9 and '-', starts with a letter and does
// not end in '-'. Model ids may also hold '.' and '_' inside.
bool IsResourceId(std::string_view id);
bool IsModelId(std::string_view id);

// "prompts", "x" -> "prompts/x".
std::string ResourceName(std::string_view collection, std::string_view id);

// "prompts/x" -> "x". INVALID_ARGUMENT naming `field` when `name` is not
// {collection}/{id}.
absl::StatusOr<std::string> ParseResourceName(std::string_view collection,
                                              std::string_view name,
                                              std::string_view field);

// What prompts/{id}, prompts/{id}@{alias} and prompts/{id}/versions/{n} name.
struct PromptReference {
  std::string prompt_id;
  // The alias (kLatestAlias for a bare prompts/{id}), or the version number.
  std::variant<std::string, int64_t> version;
};
absl::StatusOr<PromptReference> ParsePromptReference(std::string_view name,
                                                     std::string_view field);

// "x", 3 -> "prompts/x/versions/3".
std::string VersionName(std::string_view prompt_id, int64_t version);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_RESOURCE_NAMES_H_
