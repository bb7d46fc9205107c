#ifndef ATTUNE_TESTS_INTEGRATION_SAMPLE_WORK_H_
#define ATTUNE_TESTS_INTEGRATION_SAMPLE_WORK_H_

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "attune/v1/inference_service.pb.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/tuning_service.pb.h"

namespace attune::integration {

// Fields of a row or a request.
using Fields =
    std::initializer_list<std::pair<std::string_view, std::string_view>>;
google::protobuf::Struct MakeStruct(Fields fields);

// Reviews, each with a "text" and the "label" "positive" or "negative", in
// turn; row i is the same in every call.
google::protobuf::Struct ReviewRow(int i);
std::string ReviewRowJson(int i);
// Lines of JSON with rows `begin` to `end` - 1.
std::string ReviewJsonLines(int begin, int end);

// "Review: {{ text }}\nSentiment:" with the two labels.
v1::TaskSpec ReviewTask();
// "Say: {{ text }}\n", generating "target".
v1::TaskSpec EchoTask();

// A job over `num_rows` inline reviews on models/tiny that is done in well
// under a second: 4 steps of 4 rows, 4 virtual tokens.
v1::TuningJobSpec QuickReviewJob(const std::string& prompt, int num_rows = 20);
// The same for the generating task.
v1::TuningJobSpec QuickEchoJob(const std::string& prompt);

// A job of `max_steps` larger steps, with a checkpoint every
// kCheckpointInterval steps and nothing else in between: what is killed in the
// middle.
inline constexpr int kCheckpointInterval = 20;
v1::TuningJobSpec LongReviewJob(const std::string& prompt, int max_steps);

// A request with one item per text for the review task of `prompt`.
v1::PredictRequest ReviewRequest(const std::string& prompt,
                                 const std::vector<std::string>& texts);

}  // namespace attune::integration

#endif  // ATTUNE_TESTS_INTEGRATION_SAMPLE_WORK_H_
