#include "tests/worker/tuning/toy_job.h"

#include "absl/strings/str_cat.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {

AttemptInput ToyJob(int max_steps) {
  AttemptInput input;
  input.attempt = 1;
  input.job.set_name("tuningJobs/toy");
  input.job.mutable_snapshot()->set_digest("d1");
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.set_prompt("prompts/toy");
  spec.set_base_model("models/tiny");
  *spec.mutable_task() = LabelTask({});
  spec.mutable_task()->set_template_("{{ text }}");
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(8);
  spec.mutable_training()->set_max_steps(max_steps);
  spec.mutable_training()->set_batch_size(8);
  for (int i = 0; i < 60; ++i) {
    const bool left = i % 2 == 0;
    input.rows.push_back(absl::StrCat(R"({"text": ")", i / 2, left ? "1" : "7",
                                      R"(", "label": ")",
                                      left ? "left" : "right", "\"}"));
  }
  return input;
}

AttemptInput ToyJobOn(const std::string& model, int max_steps) {
  AttemptInput input = ToyJob(max_steps);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.set_base_model("models/" + model);
  if (model == "t5") {
    // It answers to all inputs alike for long, until chance pushes it: even
    // batches have the gradient of a coin in balance.
    spec.mutable_training()->mutable_stratify_labels()->set_value(false);
  }
  return input;
}

}  // namespace attune::worker
