#include "tests/integration/sample_work.h"

#include <google/protobuf/util/json_util.h>

#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace attune::integration {
namespace {

constexpr std::array<std::string_view, 8> kPraise = {
    "a warm and funny film",  "superb acting",    "i loved every minute",
    "a clever, moving story", "great fun",        "bright and well made",
    "a joy from the start",   "the best in years"};
constexpr std::array<std::string_view, 8> kBlame = {
    "a dull and noisy film", "wooden acting",     "i hated every minute",
    "a stupid, empty story", "no fun at all",     "dark and badly made",
    "a bore from the start", "the worst in years"};

v1::TuningJobSpec BaseJob(const std::string& prompt) {
  v1::TuningJobSpec spec;
  spec.set_prompt(absl::StrCat("prompts/", prompt));
  spec.set_base_model("models/tiny");
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(4);
  v1::TrainingConfig& training = *spec.mutable_training();
  training.set_max_steps(4);
  training.set_batch_size(4);
  training.set_validation_interval_steps(4);
  return spec;
}

}  // namespace

google::protobuf::Struct MakeStruct(Fields fields) {
  google::protobuf::Struct row;
  for (const auto& [name, value] : fields) {
    (*row.mutable_fields())[std::string(name)].set_string_value(
        std::string(value));
  }
  return row;
}

google::protobuf::Struct ReviewRow(int i) {
  const bool praise = i % 2 == 0;
  const auto& texts = praise ? kPraise : kBlame;
  const std::string text = absl::StrCat(
      "number ", i, ": ", std::string(texts[(i / 2) % texts.size()]));
  return MakeStruct(
      {{"text", text}, {"label", praise ? "positive" : "negative"}});
}

std::string ReviewRowJson(int i) {
  std::string json;
  const auto written =
      google::protobuf::util::MessageToJsonString(ReviewRow(i), &json);
  return written.ok() ? json : std::string();
}

std::string ReviewJsonLines(int begin, int end) {
  std::string lines;
  for (int i = begin; i < end; ++i) {
    absl::StrAppend(&lines, ReviewRowJson(i), "\n");
  }
  return lines;
}

v1::TaskSpec ReviewTask() {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("Review: {{ text }}\nSentiment:");
  task.add_labels()->set_label("negative");
  task.add_labels()->set_label("positive");
  return task;
}

v1::TaskSpec EchoTask() {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("Say: {{ text }}\n");
  task.mutable_decoding()->set_max_new_tokens(8);
  return task;
}

v1::TuningJobSpec QuickReviewJob(const std::string& prompt, int num_rows) {
  v1::TuningJobSpec spec = BaseJob(prompt);
  *spec.mutable_task() = ReviewTask();
  for (int i = 0; i < num_rows; ++i) {
    *spec.mutable_data()->mutable_inline_()->add_rows() = ReviewRow(i);
  }
  return spec;
}

v1::TuningJobSpec QuickEchoJob(const std::string& prompt) {
  v1::TuningJobSpec spec = BaseJob(prompt);
  *spec.mutable_task() = EchoTask();
  for (int i = 0; i < 12; ++i) {
    const std::string word = absl::StrCat("word ", i);
    *spec.mutable_data()->mutable_inline_()->add_rows() =
        MakeStruct({{"text", word}, {"target", word}});
  }
  return spec;
}

v1::TuningJobSpec LongReviewJob(const std::string& prompt, int max_steps) {
  v1::TuningJobSpec spec = QuickReviewJob(prompt, 80);
  v1::TrainingConfig& training = *spec.mutable_training();
  training.set_max_steps(max_steps);
  training.set_batch_size(32);
  training.set_validation_interval_steps(max_steps);
  training.set_checkpoint_interval_steps(kCheckpointInterval);
  return spec;
}

v1::PredictRequest ReviewRequest(const std::string& prompt,
                                 const std::vector<std::string>& texts) {
  v1::PredictRequest request;
  request.mutable_target()->set_prompt(prompt);
  for (const std::string& text : texts) {
    *request.add_items()->mutable_fields() = MakeStruct({{"text", text}});
  }
  return request;
}

}  // namespace attune::integration
