// Seconds per training step: the packed step of worker/tuning against the usual
// one, which repeats the prompt for every sample, pads to the longest and takes
// logits everywhere. Both train the same rows on the same weights with the same
// matrix products; steps alternate, and medians are compared.
//
//   train_step [--model DIR] [--data FILE.jsonl] [--repeats N] [--threads N]
//              [--dtype fp32|bf16] [--prompt ROWS] [--template TEXT]
//              [--peft PYTHON [--peft-dtype fp32|bf16]]
//
// With --peft the other side is Hugging Face PEFT in a Python process, see
// tests/bench/setup_peft.sh: whole steps with the optimiser, peak memory and
// the share of matrix products.

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/autograd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/bench/bench_task.h"
#include "tests/bench/padded_llama.h"
#include "tests/bench/peft_comparison.h"
#include "worker/models/compute_threads.h"
#include "worker/models/device.h"
#include "worker/models/model_store.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/trainer.h"

namespace attune::bench {
namespace {

using worker::BatchGradient;
using worker::PreparedExample;
using worker::TaskProgram;

// LibTorch's mark for rows without a target.
constexpr int64_t kIgnored = -100;

struct Flags {
  std::string model = ".attune/models/smollm2-135m-instruct";
  std::string data = "client/examples/banking77/train.jsonl";
  int repeats = 5;
  int threads = 0;
  std::string dtype;
  int prompt_rows = 0;
  std::string text_template = "Customer query: {{ text }}\nIntent:";
  std::string peft;
  std::string peft_dtype;
};

// What is measured of one configuration.
struct Row {
  std::string dtype;
  int64_t prompt_rows = 0;
  double usual = 0;        // seconds
  double packed = 0;       // seconds, the same loss
  double classifying = 0;  // seconds, loss over the labels' words
  double loss_difference = 0;
  double gradient_difference = 0;  // relative
};

// The usual step: [batch, prompt + longest] rows, logits for all of them.
BatchGradient UsualGradient(const PaddedLlama& model, const at::Tensor& prompt,
                            const std::vector<PreparedExample>& batch) {
  const at::AutoGradMode grad_mode(true);
  size_t longest = 0;
  for (const PreparedExample& one : batch) {
    longest = std::max(longest, one.input.ids.size() + one.answer_ids.size());
  }
  const int64_t size = static_cast<int64_t>(batch.size());
  const int64_t prompt_rows = prompt.size(0);
  const int64_t length = prompt_rows + static_cast<int64_t>(longest);
  std::vector<int64_t> ids(batch.size() * longest, 0);
  std::vector<int64_t> targets(batch.size() * length, kIgnored);
  for (size_t i = 0; i < batch.size(); ++i) {
    std::vector<int64_t> sequence = batch[i].input.ids;
    sequence.insert(sequence.end(), batch[i].answer_ids.begin(),
                    batch[i].answer_ids.end());
    std::copy(sequence.begin(), sequence.end(), ids.begin() + i * longest);
    // The row before an answer's token predicts it.
    std::copy(batch[i].answer_ids.begin(), batch[i].answer_ids.end(),
              targets.begin() + i * length + prompt_rows +
                  batch[i].input.ids.size() - 1);
  }
  const at::Tensor leaf = prompt.detach().clone().requires_grad_();
  const at::Tensor text = model.Embed(at::from_blob(
      ids.data(), {size, static_cast<int64_t>(longest)}, at::kLong));
  const at::Tensor rows =
      at::cat({leaf.unsqueeze(0).expand({size, -1, -1}), text}, /*dim=*/1);
  const at::Tensor logits = model.Logits(rows);
  const at::Tensor loss = at::cross_entropy_loss(
      logits.view({size * length, -1}),
      at::from_blob(targets.data(), {size * length}, at::kLong),
      /*weight=*/{}, at::Reduction::Mean, kIgnored);
  BatchGradient result;
  result.loss = loss.item<double>();
  result.gradients["prompt"] = torch::autograd::grad({loss}, {leaf})[0];
  result.num_rows = size * length;
  return result;
}

// One model in one number format.
class Comparison {
 public:
  static absl::StatusOr<std::unique_ptr<Comparison>> Create(
      const Flags& flags, at::ScalarType dtype) {
    std::unique_ptr<Comparison> comparison(new Comparison(flags, dtype));
    const size_t slash = flags.model.find_last_of('/');
    worker::ModelStore store(
        {.directory = flags.model.substr(0, slash), .dtype = dtype});
    ATTUNE_ASSIGN_OR_RETURN(comparison->model_,
                            store.Load(flags.model.substr(slash + 1)));
    ATTUNE_ASSIGN_OR_RETURN(comparison->usual_,
                            PaddedLlama::Load(flags.model, dtype));
    return comparison;
  }

  absl::StatusOr<Row> Measure(int64_t prompt_rows) const {
    ATTUNE_ASSIGN_OR_RETURN(const auto rows, ReadRows(flags_.data));
    ATTUNE_ASSIGN_OR_RETURN(
        const auto texts,
        TaskProgram::Compile(GenerationTask(flags_.text_template), model_,
                             prompt_rows));
    ATTUNE_ASSIGN_OR_RETURN(
        const auto labels,
        TaskProgram::Compile(ClassificationTask(flags_.text_template, rows),
                             model_, prompt_rows));
    ATTUNE_ASSIGN_OR_RETURN(const auto text_batch,
                            worker::PrepareExamples(*texts, AsTexts(rows)));
    ATTUNE_ASSIGN_OR_RETURN(const auto label_batch,
                            worker::PrepareExamples(*labels, rows));
    attune::v1::PromptTuning method;
    method.set_num_virtual_tokens(static_cast<int32_t>(prompt_rows));
    method.set_initialisation(
        attune::v1::PromptTuning::INITIALISATION_CLASS_LABELS);
    ATTUNE_ASSIGN_OR_RETURN(
        const at::Tensor prompt,
        worker::MakeInitialRows(method, *labels, label_batch,
                                /*embedding_rms=*/1, /*seed=*/0));
    return Alternate(prompt, *texts, text_batch, *labels, label_batch);
  }

 private:
  Comparison(const Flags& flags, at::ScalarType dtype)
      : flags_(flags), dtype_(dtype) {}

  static absl::StatusOr<BatchGradient> Packed(
      const TaskProgram& program, const at::Tensor& prompt,
      const std::vector<PreparedExample>& batch) {
    std::vector<const PreparedExample*> pointers;
    for (const PreparedExample& one : batch) pointers.push_back(&one);
    return worker::ComputeGradient(program, {}, {{"prompt", prompt}}, pointers,
                                   /*max_rows=*/1 << 20);
  }

  absl::StatusOr<Row> Alternate(
      const at::Tensor& prompt, const TaskProgram& texts,
      const std::vector<PreparedExample>& text_batch, const TaskProgram& labels,
      const std::vector<PreparedExample>& label_batch) const {
    Row row{.dtype = dtype_ == at::kFloat ? "fp32" : "bf16",
            .prompt_rows = prompt.size(0)};
    // The first step of each warms up and is compared, not timed.
    const BatchGradient usual = UsualGradient(*usual_, prompt, text_batch);
    ATTUNE_ASSIGN_OR_RETURN(const BatchGradient packed,
                            Packed(texts, prompt, text_batch));
    ATTUNE_RETURN_IF_ERROR(Packed(labels, prompt, label_batch).status());
    row.loss_difference = std::abs(usual.loss - packed.loss);
    row.gradient_difference =
        ((usual.gradients.at("prompt") - packed.gradients.at("prompt")).norm() /
         usual.gradients.at("prompt").norm())
            .item<double>();
    std::vector<double> usual_seconds;
    std::vector<double> packed_seconds;
    std::vector<double> label_seconds;
    absl::Status failure;
    for (int i = 0; i < flags_.repeats; ++i) {
      usual_seconds.push_back(
          Seconds([&] { UsualGradient(*usual_, prompt, text_batch); }));
      packed_seconds.push_back(Seconds(
          [&] { failure.Update(Packed(texts, prompt, text_batch).status()); }));
      label_seconds.push_back(Seconds([&] {
        failure.Update(Packed(labels, prompt, label_batch).status());
      }));
    }
    ATTUNE_RETURN_IF_ERROR(failure);
    row.usual = Median(usual_seconds);
    row.packed = Median(packed_seconds);
    row.classifying = Median(label_seconds);
    return row;
  }

  const Flags flags_;
  const at::ScalarType dtype_;
  std::shared_ptr<const worker::LoadedModel> model_;
  std::unique_ptr<PaddedLlama> usual_;
};

absl::Status RunPeft(const Flags& flags) {
  PeftFlags peft;
  peft.python = flags.peft;
  peft.model = flags.model;
  peft.data = flags.data;
  peft.text_template = flags.text_template;
  peft.dtype = flags.dtype;
  peft.peft_dtype = flags.peft_dtype;
  peft.repeats = flags.repeats;
  if (flags.prompt_rows != 0) peft.prompt_rows = {flags.prompt_rows};
  return CompareWithPeft(peft);
}

absl::Status Run(const Flags& flags) {
  if (flags.threads > 0) worker::SetComputeThreads(flags.threads);
  if (!flags.peft.empty()) return RunPeft(flags);
  std::printf(
      "%d rows a step, %d threads, median of %d alternating steps\n\n"
      "dtype    P   usual s   packed s   ratio   label loss s   ratio"
      "   loss diff   gradient diff\n",
      kBatch, worker::ComputeThreads(), flags.repeats);
  for (const auto& [name, dtype] :
       {std::pair<std::string, at::ScalarType>{"bf16", at::kBFloat16},
        {"fp32", at::kFloat}}) {
    if (!flags.dtype.empty() && flags.dtype != name) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<Comparison> comparison,
                            Comparison::Create(flags, dtype));
    for (int prompt_rows : {20, 100, 200}) {
      if (flags.prompt_rows != 0 && flags.prompt_rows != prompt_rows) continue;
      ATTUNE_ASSIGN_OR_RETURN(const Row row, comparison->Measure(prompt_rows));
      std::printf(
          "%-5s %4ld   %7.2f   %8.2f   %4.2fx   %12.2f   %4.2fx"
          "   %9.1e   %13.1e\n",
          row.dtype.c_str(), static_cast<long>(row.prompt_rows), row.usual,
          row.packed, row.usual / row.packed, row.classifying,
          row.usual / row.classifying, row.loss_difference,
          row.gradient_difference);
      std::fflush(stdout);
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune::bench

int main(int argc, char** argv) {
  attune::bench::Flags flags;
  CLI::App app("Packed training steps against the usual ones.");
  app.add_option("--model", flags.model, "Directory of a Llama model");
  app.add_option("--data", flags.data, "JSON Lines with text and label");
  app.add_option("--repeats", flags.repeats, "Timed steps of each kind")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", flags.threads, "Compute threads; 0: all cores");
  app.add_option("--dtype", flags.dtype, "fp32 or bf16 only")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--prompt", flags.prompt_rows, "This number of rows only")
      ->check(CLI::IsMember({20, 100, 200}));
  app.add_option("--template", flags.text_template, "Template over the text");
  CLI::Option* peft = app.add_option(
      "--peft", flags.peft, "Python that has PEFT: compare with it instead");
  app.add_option("--peft-dtype", flags.peft_dtype, "PEFT's, where not as ours")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->needs(peft);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = attune::bench::Run(flags);
  if (!status.ok()) {
    std::cerr << status.ToString() << "\n";
    return 1;
  }
  return 0;
}
