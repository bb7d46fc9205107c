#include "worker/text/template.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_split.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "worker/text/attune_text.h"
#include "worker/text/rust_buffer.h"

namespace attune::worker {
namespace {

// Names that the library lists, one per line.
std::set<std::string> NamesOf(const RustBuffer& lines) {
  return absl::StrSplit(ToAbsl(lines.view()), '\n', absl::SkipEmpty());
}

absl::Status TemplateError(const RustBuffer& error) {
  return MakeError(Reason::kInvalidTemplate,
                   Concat("template: ", error.view()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Template>> Template::Compile(
    std::string_view source) {
  return Compile(source, /*chat=*/false);
}

absl::StatusOr<std::unique_ptr<Template>> Template::CompileChat(
    std::string_view source) {
  return Compile(source, /*chat=*/true);
}

absl::StatusOr<std::unique_ptr<Template>> Template::Compile(
    std::string_view source, bool chat) {
  if (source.size() > kMaxSourceBytes) {
    return MakeError(Reason::kInvalidTemplate,
                     Concat("template of ", source.size(),
                            " bytes is longer than ", kMaxSourceBytes));
  }
  void* handle = nullptr;
  RustBuffer error;
  if (!attune_template_new(RustBytes(source), source.size(), chat,
                           kMaxOutputBytes, &handle, error.out())) {
    return TemplateError(error);
  }
  RustBuffer names;
  attune_template_undeclared(handle, names.out());
  return std::unique_ptr<Template>(new Template(handle, NamesOf(names)));
}

Template::Template(void* handle, std::set<std::string> undeclared_variables)
    : handle_(handle), undeclared_variables_(std::move(undeclared_variables)) {}

Template::~Template() { attune_template_free(handle_); }

absl::StatusOr<std::string> Template::Render(std::string_view fields) const {
  RustBuffer text;
  RustBuffer error;
  if (!attune_template_render(handle_, RustBytes(fields), fields.size(),
                              text.out(), error.out())) {
    return TemplateError(error);
  }
  return std::string(text.view());
}

absl::StatusOr<std::set<std::string>> Template::FindMarkedFields(
    std::string_view fields) const {
  RustBuffer names;
  RustBuffer error;
  if (!attune_template_marked(handle_, RustBytes(fields), fields.size(),
                              names.out(), error.out())) {
    return TemplateError(error);
  }
  return NamesOf(names);
}

absl::StatusOr<std::string> RenderChat(const Template& chat_template,
                                       std::span<const ChatMessage> messages,
                                       const ChatOptions& options) {
  nlohmann::ordered_json turns = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    turns.push_back({{"role", message.role}, {"content", message.content}});
  }
  const nlohmann::ordered_json fields = {
      {"messages", std::move(turns)},
      {"bos_token", options.bos_token},
      {"eos_token", options.eos_token},
      {"add_generation_prompt", options.add_generation_prompt}};
  try {
    return chat_template.Render(fields.dump());
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("a message of the chat is not UTF-8");
  }
}

}  // namespace attune::worker
