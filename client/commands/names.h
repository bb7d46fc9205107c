#ifndef ATTUNE_CLIENT_COMMANDS_NAMES_H_
#define ATTUNE_CLIENT_COMMANDS_NAMES_H_

#include <string>
#include <string_view>

// Names as people type them. Nothing is checked here: the server does.
namespace attune::client {

// "x" and "prompts/x" -> "prompts/x".
std::string FullName(std::string_view collection, std::string_view name);
std::string JobName(std::string_view name);
std::string PromptName(std::string_view name);
std::string DatasetName(std::string_view name);
std::string ModelName(std::string_view name);

// "prompts/x" -> "x"; a name without '/' stays.
std::string ShortName(std::string_view name);

// "prompts/x/versions/3" and "prompts/x@prod" -> "prompts/x".
std::string PromptOf(std::string_view reference);
// Whether `reference` names a version (by number or alias), not a prompt.
bool NamesVersion(std::string_view reference);

// A random UUID (version 4), for request_id.
std::string NewRequestId();

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_NAMES_H_
