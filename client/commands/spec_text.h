#ifndef ATTUNE_CLIENT_COMMANDS_SPEC_TEXT_H_
#define ATTUNE_CLIENT_COMMANDS_SPEC_TEXT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attune/v1/method.pb.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "google/protobuf/message.h"

// What was asked of a job, in words. Pure functions.
namespace attune::client {

// "max_input_tokens" -> "max input tokens"
std::string LowerWords(std::string_view name);

// The command that asks `prompt` something, with the field that the task's
// template names first.
std::string ExampleCall(const std::string& prompt, const v1::TaskSpec& task);

// "prompt tuning, 20 rows", "LoRA", ...
std::string MethodText(const v1::TuningMethod& method);

// "text classification, 10 labels"
std::string TaskText(const v1::TaskSpec& task);

// "datasets/d, 1,500 rows"
std::string SnapshotText(const v1::DatasetSnapshot& snapshot);

// The fields of `message` that are set, in their order, as {"max input tokens",
// "64"}; those of messages in it behind the name of their own field. Of a list
// of messages how many there are. `left_out` names fields of `message`.
std::vector<std::pair<std::string, std::string>> SettingsOf(
    const google::protobuf::Message& message,
    const std::vector<std::string_view>& left_out = {});

// Those of the method that is set, without its name; of a search for a
// template what it tries.
std::vector<std::pair<std::string, std::string>> MethodSettings(
    const v1::TuningMethod& method);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_SPEC_TEXT_H_
