#include "tests/worker/tasks/tiny_model.h"

#include <ATen/ops/tensor.h>

#include <cstdlib>
#include <iostream>
#include <vector>

#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_llama.h"
#include "tests/testing/tiny_t5.h"

namespace attune::worker {
namespace {

template <typename T>
T ValueOrDie(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << result.status() << std::endl;
    std::abort();
  }
  return *std::move(result);
}

std::string WriteModels() {
  static const TempDirectory directory;
  for (const auto& [id, options] :
       {std::pair<std::string, TinyLlamaOptions>{"tiny", {}},
        {"other", {.seed = 2}},
        {"plain", {.chat_template = false}}}) {
    const absl::Status written = WriteTinyLlama(directory / id, options);
    if (!written.ok()) {
      std::cerr << written << std::endl;
      std::abort();
    }
  }
  for (const absl::Status& written :
       {WriteTinyBert(directory / "encoder"),
        WriteTinyBert(directory / "masked", /*fills_masks=*/true),
        WriteTinyT5(directory / "t5")}) {
    if (!written.ok()) {
      std::cerr << written << std::endl;
      std::abort();
    }
  }
  return directory.path();
}

}  // namespace

ModelStore& TinyModels() {
  static ModelStore store({.directory = WriteModels()});
  return store;
}

std::shared_ptr<const LoadedModel> TinyModel(const std::string& id) {
  return ValueOrDie(TinyModels().Load(id));
}

const CausalModel& TinyCausalModel() { return TinyModel()->causal(); }

at::Tensor TinyPrompt() {
  return TinyCausalModel().Embed(at::tensor(std::vector<int64_t>{20, 40, 60}));
}

AttachedPrompt Front(const at::Tensor& rows) {
  AttachedPrompt front;
  front.rows = rows;
  return front;
}

attune::v1::TaskSpec LabelTask(const std::vector<std::string>& labels) {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("Text: {{ text }}\nLabel:");
  for (const std::string& label : labels) task.add_labels()->set_label(label);
  return task;
}

attune::v1::TaskSpec TagTask(const std::vector<std::string>& tags) {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION);
  task.set_template_("Tag: {{ tokens }}");
  for (const std::string& tag : tags) task.add_labels()->set_label(tag);
  return task;
}

attune::v1::TaskSpec SpanTask() {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_EXTRACTIVE_QA);
  task.set_template_("{{ question }}? {{ context }}");
  return task;
}

attune::v1::TaskSpec ChoiceTask() {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  task.set_template_("{{ text }}:");
  return task;
}

attune::v1::TaskSpec TextTask(int max_new_tokens) {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("Text: {{ text }}\nAnswer:");
  task.mutable_decoding()->set_max_new_tokens(max_new_tokens);
  return task;
}

std::unique_ptr<const TaskProgram> CompileTask(const attune::v1::TaskSpec& task,
                                               int64_t num_prompt_rows,
                                               const std::string& model) {
  return ValueOrDie(
      TaskProgram::Compile(task, TinyModel(model), num_prompt_rows));
}

}  // namespace attune::worker
