#include "worker/tasks/shown_example.h"

#include <vector>

#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "worker/tasks/spaced_answer.h"
#include "worker/text/template.h"

namespace attune::worker {
namespace {

// Ends a demonstration.
constexpr std::string_view kEmptyLine = "\n\n";

}  // namespace

absl::StatusOr<std::string> ComposeText(const attune::v1::TaskSpec& task,
                                        const LoadedModel& model,
                                        std::string_view question,
                                        absl::Span<const ShownExample> shown) {
  if (!task.use_chat_template()) {
    std::string text;
    for (const ShownExample& one : shown) {
      text += Concat(one.question,
                     SpacedAnswer(one.answer, EndsInSpace(one.question)),
                     kEmptyLine);
    }
    return Concat(text, question);
  }
  std::vector<ChatMessage> turns;
  turns.reserve(2 * shown.size() + 2);
  if (!task.system_message().empty()) {
    turns.push_back({"system", task.system_message()});
  }
  for (const ShownExample& one : shown) {
    turns.push_back({"user", one.question});
    turns.push_back({"assistant", one.answer});
  }
  turns.push_back({"user", std::string(question)});
  absl::StatusOr<std::string> chat =
      RenderChat(*model.chat_template, turns,
                 {.bos_token = model.bos_token,
                  .eos_token = model.eos_token,
                  .add_generation_prompt = true});
  if (!chat.ok()) {
    return MakeError(Reason::kInvalidTemplate, ToStd(chat.status().message()));
  }
  return chat;
}

}  // namespace attune::worker
