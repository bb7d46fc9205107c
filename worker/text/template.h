#ifndef ATTUNE_WORKER_TEXT_TEMPLATE_H_
#define ATTUNE_WORKER_TEXT_TEMPLATE_H_

#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace attune::worker {

// A compiled Jinja2 template. It can read nothing but the fields it is given:
// no loader, no files, no time. Undefined fields are errors, the number of
// instructions (fuel), recursion and output size are bounded, values may be
// nested as deep as fuel allows, and there are no namespaces, which could hold
// themselves. What one instruction may take is not bounded: a variable that
// is set to itself twice over and over doubles in memory. The library asks
// nobody between instructions, and Rust ends the process where memory is
// refused, so only a process of its own could bound it. Const after
// construction: any number of threads may use one instance at once.
//
// Beside Jinja's own filters, `text | mark(E1=span, ...)` puts "[E1] " before a
// span of the text and " [/E1]" behind it. Spans are {"begin": 3, "end": 9} or
// [3, 9] and count characters (code points) or, of a list of texts, which are
// joined by spaces, words; one may hold another.
class Template {
 public:
  static constexpr size_t kMaxSourceBytes = size_t{1} << 18;
  static constexpr size_t kMaxOutputBytes = size_t{1} << 20;

  // InvalidArgument with the line number if `source` is not a template.
  static absl::StatusOr<std::unique_ptr<Template>> Compile(
      std::string_view source);
  // The same with Hugging Face's settings for chat templates: white space
  // around blocks is trimmed, undefined values count as empty, and the template
  // may call raise_exception and namespace, but has no `mark`. For templates
  // that come with a model and are trusted as it is.
  static absl::StatusOr<std::unique_ptr<Template>> CompileChat(
      std::string_view source);
  ~Template();
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  // `fields`: a JSON object. InvalidArgument, with line and name, for a field
  // that the template uses and `fields` lacks, and for exceeded limits.
  absl::StatusOr<std::string> Render(std::string_view fields) const;

  // The fields with a text whose characters `mark` counts when it renders
  // `fields`: what is cut from one of these moves or takes its spans. Empty for
  // a row in which nothing is marked. Renders once and, where something is
  // marked, once more for each field with a text. Errors as of Render.
  absl::StatusOr<std::set<std::string>> FindMarkedFields(
      std::string_view fields) const;

  // The variables that the template reads and does not set itself: the fields
  // a row must have.
  const std::set<std::string>& undeclared_variables() const {
    return undeclared_variables_;
  }

 private:
  Template(void* handle, std::set<std::string> undeclared_variables);
  static absl::StatusOr<std::unique_ptr<Template>> Compile(
      std::string_view source, bool chat);

  void* const handle_;  // owned; lives in the Rust library
  const std::set<std::string> undeclared_variables_;
};

// One turn of a chat.
struct ChatMessage {
  std::string role;  // "system", "user", "assistant", ...
  std::string content;
};

// What a chat template knows beside the messages.
struct ChatOptions {
  std::string bos_token = "";
  std::string eos_token = "";
  // Whether to end with the header of the assistant's next turn.
  bool add_generation_prompt = true;
};

// Renders a model's chat template (`chat_template` of tokenizer_config.json) as
// Hugging Face does: variables messages, bos_token, eos_token and
// add_generation_prompt. `chat_template` comes from CompileChat.
// InvalidArgument if the template refuses the chat.
absl::StatusOr<std::string> RenderChat(const Template& chat_template,
                                       std::span<const ChatMessage> messages,
                                       const ChatOptions& options);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TEXT_TEMPLATE_H_
