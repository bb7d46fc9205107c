#include "worker/inference/engine.h"

#include <iterator>
#include <optional>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/inference/batch_runner.h"
#include "worker/models/compute_threads.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {
namespace {

// The results of a call on their way to `done`. The items of a call end on
// different threads.
class PredictCollector {
 public:
  PredictCollector(size_t num_results, Engine::PredictDone done)
      : results_(num_results), missing_(num_results), done_(std::move(done)) {}

  void Set(size_t index, attune::v1::PredictResult result) {
    results_[index] = std::move(result);
    // Whoever brings the last result sees all the others.
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      done_(std::move(results_));
    }
  }

 private:
  std::vector<attune::v1::PredictResult> results_;
  std::atomic<size_t> missing_;
  const Engine::PredictDone done_;
};

absl::Status CheckCall(const InferenceCall& call) {
  if (call.inputs.empty()) {
    return InvalidField("items", "holds no input: send at least one");
  }
  for (const InferenceInput& input : call.inputs) {
    if (input.target >= call.targets.size()) {
      return InvalidField("items.target",
                          Concat("is ", input.target, ", but there are ",
                                 call.targets.size(), " targets"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Engine::Engine(const Options& options, ModelStore& models,
               ArtifactSource& artifacts, ComputeBudget& budget,
               InferenceMetrics& metrics, const Clock& clock)
    : options_(options),
      budget_(budget),
      metrics_(metrics),
      clock_(clock),
      resolver_(options.resolver, models, artifacts, metrics, clock),
      preparation_({.name = "preparation",
                    .num_threads = options.num_preparation_threads,
                    .max_queued = static_cast<size_t>(options.max_waiting)}) {
  thread_ = std::thread([this] { RunLoop(); });
}

Engine::~Engine() { Stop(); }

void Engine::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    stopping_ = true;
  }
  // First what still prepares, so that nothing becomes ready later unseen.
  preparation_.Shutdown();
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::Status Engine::Predict(InferenceCall call,
                             std::shared_ptr<const CallContext> context,
                             PredictDone done) {
  ATTUNE_RETURN_IF_ERROR(CheckCall(call));
  auto collector =
      std::make_shared<PredictCollector>(call.inputs.size(), std::move(done));
  std::vector<WorkOrigin> origins(call.inputs.size());
  for (size_t i = 0; i < origins.size(); ++i) {
    origins[i].context = context;
    origins[i].done = [collector, i,
                       version =
                           call.targets[call.inputs[i].target].prompt_version](
                          absl::StatusOr<attune::v1::PredictResult> result) {
      collector->Set(i, result.ok()
                            ? *std::move(result)
                            : MakeErrorResult(result.status(), version));
    };
  }
  return Admit(std::move(call), std::move(origins), /*stream=*/false);
}

absl::Status Engine::Generate(InferenceCall call,
                              std::shared_ptr<const CallContext> context,
                              OnPiece on_piece, GenerateDone done) {
  ATTUNE_RETURN_IF_ERROR(CheckCall(call));
  if (call.inputs.size() != 1) {
    return InvalidField("items", "a stream generates for one input");
  }
  std::vector<WorkOrigin> origins(1);
  origins[0].context = std::move(context);
  origins[0].on_piece = std::move(on_piece);
  origins[0].done = std::move(done);
  return Admit(std::move(call), std::move(origins), /*stream=*/true);
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> Engine::Preload(
    const std::string& model_name) {
  return CatchTorchErrors("loading a model",
                          [&] { return resolver_.LoadModel(model_name); });
}

absl::Status Engine::Admit(InferenceCall call, std::vector<WorkOrigin> origins,
                           bool stream) {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return DrainingError();
  }
  const int wanted = static_cast<int>(origins.size());
  if (num_waiting_ + wanted > options_.max_waiting) {
    return MakeError(Reason::kQueueFull,
                     Concat("the worker's queue holds ", num_waiting_.load(),
                            " of ", options_.max_waiting, " inputs and ",
                            wanted, " more do not fit: try again later"));
  }
  for (WorkOrigin& origin : origins) {
    origin.place = std::make_unique<QueuePlace>(num_waiting_);
    origin.unanswered = std::make_unique<QueuePlace>(num_unanswered_);
    origin.arrival = clock_.Monotonic();
  }
  // Shared, because a task must be copyable.
  auto work = std::make_shared<std::vector<WorkOrigin>>(std::move(origins));
  return preparation_.Offer([this, call = std::move(call), work, stream] {
    Prepare(call, std::move(*work), stream);
  });
}

void Engine::Prepare(const InferenceCall& call, std::vector<WorkOrigin> origins,
                     bool stream) {
  // A prompt's keys and values may have to be computed here.
  SetComputeThreads(1);
  std::vector<
      std::optional<absl::StatusOr<std::shared_ptr<const ResolvedTarget>>>>
      targets(call.targets.size());
  const auto prepare =
      [&](size_t i) -> absl::StatusOr<std::unique_ptr<WorkItem>> {
    if (stopping_) {
      return DrainingError();
    }
    ATTUNE_RETURN_IF_ERROR(origins[i].context->Check(clock_.Now()));
    auto& target = targets[call.inputs[i].target];
    if (!target) {
      target = resolver_.Resolve(call.targets[call.inputs[i].target]);
    }
    ATTUNE_RETURN_IF_ERROR(target->status());
    if (stream && !(**target)->program->is_generation()) {
      return MakeError(Reason::kIllegalState,
                       "the target's task generates no text: use Predict");
    }
    return PrepareWork(**target, call.inputs[i], metrics_);
  };
  std::vector<std::unique_ptr<WorkItem>> ready;
  for (size_t i = 0; i < origins.size(); ++i) {
    absl::StatusOr<std::unique_ptr<WorkItem>> item =
        CatchTorchErrors("preparing an input", [&] { return prepare(i); });
    if (!item.ok()) {
      const auto& target = targets[call.inputs[i].target];
      metrics_
          .ForModel(target && target->ok() ? (**target)->model->info.id
                                           : "unknown")
          .CountInput(item.status(), clock_.Monotonic() - origins[i].arrival);
      WorkOrigin refused = std::move(origins[i]);
      refused.place.reset();
      refused.done(item.status());
      continue;
    }
    (*item)->origin = std::move(origins[i]);
    ready.push_back(*std::move(item));
  }
  absl::MutexLock lock(&mutex_);
  std::move(ready.begin(), ready.end(), std::back_inserter(ready_));
}

void Engine::RunLoop() {
  BatchRunner runner(options_.limits, clock_);
  std::unique_ptr<ComputeBudget::Use> busy;
  const auto has_news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !ready_.empty();
  };
  while (true) {
    std::vector<std::unique_ptr<WorkItem>> arrived;
    bool stopped = false;
    {
      absl::MutexLock lock(&mutex_);
      if (runner.idle()) {
        if (ready_.empty()) {
          busy.reset();
        }
        mutex_.Await(absl::Condition(&has_news));
      }
      arrived.swap(ready_);
      stopped = stopped_;
    }
    for (auto& item : arrived) {
      runner.Add(std::move(item));
    }
    if (stopped) {
      return;  // the runner answers what is left
    }
    if (busy == nullptr) {
      busy = budget_.Serve();
    }
    SetComputeThreads(budget_.ServingThreads());
    runner.Step();
    if (runner.idle()) {
      ReleaseComputeThreads();
    }
  }
}

bool Engine::Drain(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  const auto answered = [this] { return num_unanswered_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&answered), limit);
}

}  // namespace attune::worker
