#ifndef ATTUNE_WORKER_TASKS_SHOWN_EXAMPLE_H_
#define ATTUNE_WORKER_TASKS_SHOWN_EXAMPLE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// A demonstration as the model sees it.
struct ShownExample {
  std::string question;  // rendered fields
  std::string answer;    // as the model would give it
};

// What the model reads: `question`, rendered fields, behind `shown`, each of
// which ends in an empty line; with task.use_chat_template as turns of a chat
// in the model's own template. INVALID_ARGUMENT (kInvalidTemplate): the model's
// template refuses the chat.
absl::StatusOr<std::string> ComposeText(const attune::v1::TaskSpec& task,
                                        const LoadedModel& model,
                                        std::string_view question,
                                        absl::Span<const ShownExample> shown);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SHOWN_EXAMPLE_H_
