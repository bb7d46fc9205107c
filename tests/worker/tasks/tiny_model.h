#ifndef ATTUNE_TESTS_WORKER_TASKS_TINY_MODEL_H_
#define ATTUNE_TESTS_WORKER_TASKS_TINY_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "attune/v1/task.pb.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/model_store.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// A store with the tiny Llama of the test kit as "tiny" (context 256), "other"
// (other weights) and "plain" (no chat template), the tiny BERT as "encoder"
// and, with the head that fills masks, "masked", and the tiny T5 as "t5". Made
// once per test program.
ModelStore& TinyModels();
std::shared_ptr<const LoadedModel> TinyModel(const std::string& id = "tiny");

const CausalModel& TinyCausalModel();  // of "tiny"
// Three rows that a tuned prompt could be. [3, dim]
at::Tensor TinyPrompt();
// Rows [n, dim] in the form that training takes them.
AttachedPrompt Front(const at::Tensor& rows);

// A classification with template "Text: {{ text }}\nLabel:" where each label is
// its own word.
attune::v1::TaskSpec LabelTask(const std::vector<std::string>& labels);
// A token classification with template "Tag: {{ tokens }}".
attune::v1::TaskSpec TagTask(const std::vector<std::string>& tags);
// An extractive QA with template "{{ question }}? {{ context }}".
attune::v1::TaskSpec SpanTask();
// A multiple choice with template "{{ text }}:".
attune::v1::TaskSpec ChoiceTask();
// A generation with template "Text: {{ text }}\nAnswer:".
attune::v1::TaskSpec TextTask(int max_new_tokens);

// The task compiled for a model; ends the test program on an error.
std::unique_ptr<const TaskProgram> CompileTask(
    const attune::v1::TaskSpec& task, int64_t num_prompt_rows = 0,
    const std::string& model = "tiny");

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TASKS_TINY_MODEL_H_
