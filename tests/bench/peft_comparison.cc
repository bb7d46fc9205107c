#include "tests/bench/peft_comparison.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <stdlib.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/bench/bench_task.h"
#include "tests/bench/gemm_meter.h"
#include "tests/bench/peft_process.h"
#include "tests/worker/models/resident_memory.h"
#include "worker/models/compute_threads.h"
#include "worker/models/device.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/adamw.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/trainer.h"

namespace attune::bench {
namespace {

using worker::PreparedExample;
using worker::TaskProgram;
using worker::TensorMap;

constexpr int64_t kPrefixRows = 20;
constexpr double kLearningRate = 1e-3;
constexpr double kMegabyte = 1e6;
constexpr double kGiga = 1e9;
// PEFT's step is not repeated beyond these.
constexpr double kLongStepSeconds = 120;

// One method with one length.
struct Case {
  bool is_prefix = false;
  int64_t rows = 0;
};

// What is measured of a case.
struct PeftRow {
  double peft_seconds = 0;
  double our_seconds = 0;
  int64_t peft_peak_bytes = 0;
  int64_t our_peak_bytes = 0;
  double loss_difference = 0;
  GemmUse gemm;
  double metered_seconds = 0;  // of the step that `gemm` was counted in
};

// A directory for the files that both sides read; removed with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "train_step.XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

absl::Status WriteBatch(const std::string& path,
                        const std::vector<PreparedExample>& batch) {
  nlohmann::json rows = nlohmann::json::array();
  for (const PreparedExample& one : batch) {
    rows.push_back({{"text", one.input.ids}, {"answer", one.answer_ids}});
  }
  std::ofstream file(path);
  file << nlohmann::json{{"rows", rows}}.dump() << "\n";
  file.close();
  return file ? absl::OkStatus()
              : absl::UnavailableError(Concat("cannot write ", path));
}

// Lets the most memory that the kernel remembers begin again at what is
// resident now.
void ResetPeakMemory() {
  worker::ReturnFreedMemory();
  std::ofstream("/proc/self/clear_refs") << "5";
}

// Training of one model in this process: gradient and AdamW.
class OurSteps {
 public:
  OurSteps(const TaskProgram& program,
           const std::vector<PreparedExample>& batch, TensorMap values)
      : program_(program), values_(std::move(values)) {
    for (const PreparedExample& one : batch) batch_.push_back(&one);
    for (const auto& [name, value] : values_) {
      slots_[name] = optimizer_.MakeSlots(value);
    }
  }

  // -> the loss before the update.
  absl::StatusOr<double> MakeStep() {
    ATTUNE_ASSIGN_OR_RETURN(
        worker::BatchGradient gradient,
        worker::ComputeGradient(program_, {}, values_, batch_,
                                /*max_rows=*/1 << 20));
    ++num_updates_;
    for (auto& [name, value] : values_) {
      optimizer_.Update(
          {.learning_rate = kLearningRate, .update = num_updates_},
          gradient.gradients.at(name), value, slots_[name]);
    }
    return gradient.loss;
  }

 private:
  const TaskProgram& program_;
  std::vector<const PreparedExample*> batch_;
  TensorMap values_;
  const worker::AdamW optimizer_{worker::AdamWOptions()};
  std::map<std::string, TensorMap> slots_;
  int64_t num_updates_ = 0;
};

// One model in one number format.
class PeftComparison {
 public:
  static absl::StatusOr<std::unique_ptr<PeftComparison>> Create(
      const PeftFlags& flags, const std::string& dtype) {
    std::unique_ptr<PeftComparison> comparison(
        new PeftComparison(flags, dtype));
    const size_t slash = flags.model.find_last_of('/');
    worker::ModelStore store(
        {.directory = flags.model.substr(0, slash),
         .dtype = dtype == "fp32" ? at::kFloat : at::kBFloat16});
    ATTUNE_ASSIGN_OR_RETURN(comparison->model_,
                            store.Load(flags.model.substr(slash + 1)));
    worker::ReturnFreedMemory();
    comparison->weights_bytes_ = worker::ResidentBytes("RssAnon:");
    return comparison;
  }

  absl::StatusOr<PeftRow> Measure(const Case& one) const {
    const int64_t context_rows = one.rows;
    ATTUNE_ASSIGN_OR_RETURN(const auto rows, ReadRows(flags_.data));
    ATTUNE_ASSIGN_OR_RETURN(
        const auto texts,
        TaskProgram::Compile(GenerationTask(flags_.text_template), model_,
                             context_rows));
    ATTUNE_ASSIGN_OR_RETURN(const auto batch,
                            worker::PrepareExamples(*texts, AsTexts(rows)));
    ATTUNE_ASSIGN_OR_RETURN(const TensorMap values, InitialValues(one, rows));
    const ScratchDirectory scratch;
    ATTUNE_RETURN_IF_ERROR(WriteBatch(scratch / "batch.json", batch));
    ATTUNE_RETURN_IF_ERROR(
        worker::WriteSafetensorsFile(scratch / "values.safetensors", values));
    ATTUNE_ASSIGN_OR_RETURN(
        const std::unique_ptr<PeftProcess> peft,
        PeftProcess::Start(
            {.python = flags_.python,
             .script = flags_.script,
             .model = flags_.model,
             .batch = scratch / "batch.json",
             .values = scratch / "values.safetensors",
             .dtype = flags_.peft_dtype.empty() ? dtype_ : flags_.peft_dtype,
             .threads = worker::ComputeThreads()}));
    OurSteps ours(*texts, batch, values);
    return Alternate(ours, *peft);
  }

 private:
  PeftComparison(const PeftFlags& flags, std::string dtype)
      : flags_(flags), dtype_(std::move(dtype)) {}

  // Rows of the labels' words, or what the model makes of them.
  absl::StatusOr<TensorMap> InitialValues(
      const Case& one, const std::vector<worker::Example>& rows) const {
    ATTUNE_ASSIGN_OR_RETURN(
        const auto labels,
        TaskProgram::Compile(ClassificationTask(flags_.text_template, rows),
                             model_, one.rows));
    ATTUNE_ASSIGN_OR_RETURN(const auto batch,
                            worker::PrepareExamples(*labels, rows));
    attune::v1::PromptTuning method;
    method.set_num_virtual_tokens(static_cast<int32_t>(one.rows));
    method.set_initialisation(
        attune::v1::PromptTuning::INITIALISATION_CLASS_LABELS);
    ATTUNE_ASSIGN_OR_RETURN(
        const at::Tensor prompt,
        worker::MakeInitialRows(method, *labels, batch, /*embedding_rms=*/1,
                                /*seed=*/0));
    if (!one.is_prefix) return TensorMap{{"prompt", prompt}};
    const at::NoGradGuard no_grad;
    ATTUNE_ASSIGN_OR_RETURN(const auto block,
                            model_->model->BuildPrefix(prompt));
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (int64_t layer = 0; layer < block->num_layers(); ++layer) {
      keys.push_back(block->keys(layer));
      values.push_back(block->values(layer));
    }
    return TensorMap{{"prefix.keys", at::stack(keys)},
                     {"prefix.values", at::stack(values)}};
  }

  absl::StatusOr<PeftRow> Alternate(OurSteps& ours, PeftProcess& peft) const {
    PeftRow row;
    ResetPeakMemory();
    // The first step of each warms up and is compared, not timed.
    ATTUNE_ASSIGN_OR_RETURN(const double our_loss, ours.MakeStep());
    ATTUNE_ASSIGN_OR_RETURN(PeftProcess::Step step, peft.MakeStep());
    row.loss_difference = std::abs(our_loss - step.loss);
    // But that of minutes, in which warming up is nothing, is the only one.
    const bool is_long = step.seconds > kLongStepSeconds;
    std::vector<double> our_seconds;
    std::vector<double> peft_seconds;
    if (is_long) peft_seconds.push_back(step.seconds);
    absl::Status failure;
    for (int i = 0; i < flags_.repeats; ++i) {
      our_seconds.push_back(
          Seconds([&] { failure.Update(ours.MakeStep().status()); }));
      if (is_long) continue;
      ATTUNE_ASSIGN_OR_RETURN(step, peft.MakeStep());
      peft_seconds.push_back(step.seconds);
    }
    ATTUNE_RETURN_IF_ERROR(failure);
    // Pages of libraries and mapped files only become more.
    row.our_peak_bytes = worker::ResidentBytes("VmHWM:") -
                         worker::MappedBytes() - weights_bytes_;
    row.peft_peak_bytes = step.peak_bytes;
    row.our_seconds = Median(our_seconds);
    row.peft_seconds = Median(peft_seconds);
    const GemmMeter meter;
    row.metered_seconds =
        Seconds([&] { failure.Update(ours.MakeStep().status()); });
    row.gemm = meter.use();
    ATTUNE_RETURN_IF_ERROR(failure);
    return row;
  }

  const PeftFlags flags_;
  const std::string dtype_;
  std::shared_ptr<const worker::LoadedModel> model_;
  // Resident once the model is loaded, without mapped files.
  int64_t weights_bytes_ = 0;
};

void PrintHeader(const PeftFlags& flags) {
  std::printf(
      "%d rows a step, %d threads, median of %d alternating steps\n\n"
      "method  dtype    P   PEFT s   ours s   ratio   samples/s"
      "   PEFT MB   ours MB   share   loss diff   in GEMM   GFLOP/s\n",
      kBatch, worker::ComputeThreads(), flags.repeats);
}

void PrintRow(const Case& one, const std::string& dtype, const PeftRow& row) {
  std::printf(
      "%-6s  %-5s %4ld  %7.2f  %7.3f  %5.2fx  %10.1f  %8.0f  %8.0f  %6.2f"
      "   %9.1e   %5.0f %%  %8.0f\n",
      one.is_prefix ? "prefix" : "prompt", dtype.c_str(),
      static_cast<long>(one.rows), row.peft_seconds, row.our_seconds,
      row.peft_seconds / row.our_seconds, kBatch / row.our_seconds,
      static_cast<double>(row.peft_peak_bytes) / kMegabyte,
      static_cast<double>(row.our_peak_bytes) / kMegabyte,
      static_cast<double>(row.our_peak_bytes) /
          static_cast<double>(row.peft_peak_bytes),
      row.loss_difference, 100 * row.gemm.seconds / row.metered_seconds,
      row.gemm.flops / row.gemm.seconds / kGiga);
  std::fflush(stdout);
}

absl::Status CompareIn(const PeftFlags& flags, const std::string& dtype) {
  // Without products for bf16 its weights are widened.
  const bool in_bf16 = dtype == "bf16" && worker::CpuHasBf16();
  const double peak = MeasurePeakFlops(in_bf16 ? at::kBFloat16 : at::kFloat);
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<PeftComparison> comparison,
                          PeftComparison::Create(flags, dtype));
  std::vector<Case> cases;
  for (int rows : flags.prompt_rows) cases.push_back({.rows = rows});
  cases.push_back({.is_prefix = true, .rows = kPrefixRows});
  std::map<int64_t, double> prompt_seconds;
  for (const Case& one : cases) {
    ATTUNE_ASSIGN_OR_RETURN(const PeftRow row, comparison->Measure(one));
    PrintRow(one, dtype, row);
    if (!one.is_prefix) prompt_seconds[one.rows] = row.our_seconds;
  }
  std::printf("%s: a large product of %s numbers reaches %.0f GFLOP/s",
              dtype.c_str(), in_bf16 ? "bf16" : "fp32", peak / kGiga);
  if (prompt_seconds.contains(20) && prompt_seconds.contains(200)) {
    std::printf("; our step with P=200 takes %.2f times that with P=20",
                prompt_seconds[200] / prompt_seconds[20]);
  }
  std::printf("\n");
  return absl::OkStatus();
}

}  // namespace

absl::Status CompareWithPeft(const PeftFlags& flags) {
  PrintHeader(flags);
  for (const char* dtype : {"bf16", "fp32"}) {
    if (!flags.dtype.empty() && flags.dtype != dtype) continue;
    ATTUNE_RETURN_IF_ERROR(CompareIn(flags, dtype));
  }
  return absl::OkStatus();
}

}  // namespace attune::bench
