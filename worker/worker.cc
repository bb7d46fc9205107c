#include "worker/worker.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "proto/cc/ready_file.h"
#include "proto/cc/rpc_metrics.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/compute_threads.h"
#include "worker/models/device.h"
#include "worker/models/machine_memory.h"
#include "worker/tuning/attempt.h"
#include "worker/tuning/preflight.h"

namespace attune::worker {
namespace {

constexpr char kEngineService[] = "attune.worker.v1.Engine";
// A request may hold 256 inputs of several kilobytes each.
constexpr int kMaxRequestBytes = 16 << 20;
// Evaluations, preflights and augmentations that wait for the one that runs.
constexpr int kMaxWaitingWork = 4;
constexpr absl::Duration kRegistrationPace = absl::Milliseconds(200);

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

// Random numbers for ids and jitter; each thread has its own generator.
std::mt19937_64& Random() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator;
}

double Uniform() {
  return std::uniform_real_distribution<double>(0, 1)(Random());
}

// A random UUID (RFC 9562, version 4).
std::string NewUuid() {
  const uint64_t high = (Random()() & ~uint64_t{0xf000}) | uint64_t{0x4000};
  const uint64_t low =
      (Random()() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);
  char text[37];
  std::snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx",
                static_cast<unsigned>(high >> 32),
                static_cast<unsigned>(high >> 16 & 0xffff),
                static_cast<unsigned>(high & 0xffff),
                static_cast<unsigned>(low >> 48),
                static_cast<unsigned long long>(low & 0xffffffffffff));
  return text;
}

// What the server is told to call: `bound`, but not a host that means "all".
std::string AdvertisedAddress(const ServeOptions& options,
                              const std::string& bound) {
  if (!options.advertise.empty()) {
    return options.advertise;
  }
  const auto address = ParseAddress(bound, "listen");
  if (address->first == "0.0.0.0" || address->first == "[::]") {
    return Concat(HostName(), ":", address->second);
  }
  return bound;
}

// The budget for weights where the operator names none. The rest of the memory
// is for activations, keys and values, and the training state.
absl::StatusOr<int64_t> ChooseModelMemory(const ServeOptions& options,
                                          const c10::Device& device) {
  if (options.model_memory) return *options.model_memory;
  // Weights lie in the memory of the device, which is not asked.
  if (!device.is_cpu()) return std::numeric_limits<int64_t>::max();
  absl::StatusOr<int64_t> machine = MachineMemory();
  if (!machine.ok()) {
    return WithContext(machine.status(), "--model-memory cannot be chosen");
  }
  return *machine / 4 * 3;
}

// Evaluations take turns with jobs, as one more of them.
class TurnWithJobs final : public BackgroundWork::Turn {
 public:
  explicit TurnWithJobs(TrainingTurns& turns) : place_(turns) {}
  void Take() override { place_.Take(); }

 private:
  TrainingTurns::Place place_;
};

// A preflight between the pieces of work of others.
absl::StatusOr<attune::v1::PreflightTuningJobResponse> PreflightInTurns(
    const attune::v1::PreflightTuningJobRequest& request,
    const std::vector<std::string>& rows, ModelStore& models,
    const Clock& clock, const BackgroundWork::Pause& pause) {
  absl::Status stopped;
  PreflightHooks hooks;
  hooks.before_step = [&] { stopped.Update(pause()); };
  hooks.stop_requested = [&] { return !stopped.ok(); };
  auto response = Preflight(request, rows, models, clock, hooks);
  if (!stopped.ok()) return stopped;
  return response;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(
    const ServeOptions& options, const Clock& clock,
    std::function<bool()> stop) {
  ATTUNE_ASSIGN_OR_RETURN(const c10::Device device, OpenDevice(options.device));
  ATTUNE_ASSIGN_OR_RETURN(const c10::ScalarType dtype,
                          ChooseDtype(options.dtype, device));
  const int threads =
      options.threads > 0
          ? options.threads
          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  SetComputeThreads(threads);  // of this thread, which loads models
  std::remove(options.ready_file.c_str());  // of a process that was killed
  ATTUNE_ASSIGN_OR_RETURN(const int64_t model_memory,
                          ChooseModelMemory(options, device));
  const ModelStore::Options models = {.directory = options.models_dir,
                                      .device = device,
                                      .dtype = dtype,
                                      .max_loaded_bytes = model_memory};
  std::unique_ptr<Worker> worker(new Worker(options, models, threads, clock));
  ATTUNE_ASSIGN_OR_RETURN(
      worker->metrics_endpoint_,
      MetricsEndpoint::Start(options.metrics_listen, worker->metrics_));
  ATTUNE_RETURN_IF_ERROR(worker->Listen(options));
  // Before the server knows of the worker, which would at once get a job and
  // requests and lose them if a model is missing.
  ATTUNE_RETURN_IF_ERROR(worker->Preload(options, stop));
  ReleaseComputeThreads();
  worker->BeginControl(options);
  while (!worker->loop_->WaitRegistered(kRegistrationPace)) {
    if (stop()) {
      return absl::CancelledError("stopped before the server answered");
    }
  }
  worker->health_.SetReady(true);
  if (!options.ready_file.empty()) {
    ATTUNE_RETURN_IF_ERROR(WriteReadyFile(
        options.ready_file, {{"engine", worker->engine_address()},
                             {"metrics", worker->metrics_address()}}));
  }
  return worker;
}

Worker::Worker(const ServeOptions& options, const ModelStore::Options& models,
               int threads, const Clock& clock)
    : clock_(clock),
      metrics_(std::make_shared<Metrics>()),
      inference_metrics_(*metrics_),
      train_metrics_(*metrics_, clock),
      models_(models),
      budget_(threads),
      turns_(clock),
      stub_(ConnectToServer(options.server)),
      artifacts_(*stub_, clock),
      engine_({}, models_, artifacts_, budget_, inference_metrics_, clock),
      work_(
          kMaxWaitingWork, budget_,
          [this] { return std::make_unique<TurnWithJobs>(turns_); }, clock),
      health_(live_calls_, {kEngineService}),
      service_(
          engine_, work_,
          [this](const auto& job, const auto& rows, const auto& pause) {
            return PreflightInTurns(job, rows, models_, clock_, pause);
          },
          live_calls_) {
  metrics_
      ->MakeGauge("attune_build_info", "What runs; always 1.",
                  {{"version", std::string(kVersion)},
                   {"device", models.device.str()},
                   {"dtype", models.dtype == c10::kFloat ? "fp32" : "bf16"}})
      .Set(1);
  metrics_->OnScrape(
      [this] { inference_metrics_.ShowModelMemory(models_.memory()); });
}

Worker::~Worker() { Stop(); }

absl::Status Worker::Preload(const ServeOptions& options,
                             const std::function<bool()>& stop) {
  // All are kept until the last is there: two that do not fit together are a
  // mistake that would otherwise show as a slow first request.
  std::vector<std::shared_ptr<const LoadedModel>> loaded;
  for (const std::string& name : options.preload) {
    if (stop()) {
      return absl::CancelledError("stopped while models were loaded");
    }
    auto model = engine_.Preload(name);
    if (!model.ok()) {
      return WithContext(model.status(), Concat("--preload ", name));
    }
    loaded.push_back(*std::move(model));
  }
  return absl::OkStatus();
}

absl::Status Worker::Listen(const ServeOptions& options) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(),
                           &port);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&health_);
  builder.RegisterService(&service_);
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(std::make_unique<RpcMetrics>(
      metrics_, std::vector<std::string>{kEngineService}));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        Concat("cannot listen on ", options.listen,
               ": the port is taken or the host is not this one's"));
  }
  engine_address_ =
      Concat(ParseAddress(options.listen, "listen")->first, ":", port);
  ticker_ = std::make_unique<Ticker>(
      absl::Seconds(1), [this] { live_calls_.Tick(clock_.Monotonic()); });
  return absl::OkStatus();
}

void Worker::BeginControl(const ServeOptions& options) {
  ControlLoop::Options control;
  control.engine_address = AdvertisedAddress(options, engine_address_);
  control.worker_id =
      options.worker_id.empty()
          ? Concat(HostName(), "-",
                   ParseAddress(engine_address_, "listen")->second)
          : options.worker_id;
  control.instance_id = NewUuid();
  control.version = std::string(kVersion);
  control.max_jobs = options.max_jobs;
  report_ = std::make_unique<ModelReport>(models_, control.worker_id, clock_);
  auto runner = std::make_unique<AttemptRunner>(
      AttemptRunner::Options{}, *stub_, budget_, turns_, train_metrics_,
      [this](const AttemptInput& input, AttemptListener& listener) {
        return RunAttempt(input, models_, clock_, listener);
      },
      Uniform);
  loop_ = std::make_unique<ControlLoop>(
      control,
      ControlLoop::Host{
          .models = [this] { return report_->Make(); },
          .warm_artifacts = [this] { return engine_.WarmArtifacts(); },
          .num_waiting_requests = [this] { return engine_.num_waiting(); }},
      *stub_, std::move(runner), clock_, Uniform);
  loop_thread_ = std::thread([this] { loop_->Run(); });
  spdlog::info(
      "worker {} on {}, {} threads, device {}, dtype {}, {} bytes of memory "
      "for models, {} jobs at once",
      control.worker_id, control.engine_address, budget_.total(),
      models_.options().device.str(),
      models_.options().dtype == c10::kFloat ? "fp32" : "bf16",
      models_.options().max_loaded_bytes, control.max_jobs);
}

void Worker::Drain(absl::Duration limit) {
  const absl::Duration end = clock_.Monotonic() + limit;
  spdlog::info("draining");
  health_.SetReady(false);
  loop_->RequestDrain();
  work_.BeginDrain();
  if (!engine_.Drain(limit)) {
    spdlog::warn("predictions are cut off: the drain's time is over");
  }
  if (!loop_->WaitDrained(end - clock_.Monotonic())) {
    spdlog::warn("not all jobs are given back: the drain's time is over");
  }
  Stop();
}

void Worker::Stop() {
  if (loop_ != nullptr) {
    loop_->Abandon();
  }
  stub_->InterruptSynchronize();
  if (loop_thread_.joinable()) {
    loop_thread_.join();
  }
  // Answers every call, so that the gRPC server has none left to wait for.
  work_.Stop();
  engine_.Stop();
  live_calls_.Drain();
  ticker_.reset();
  if (server_ != nullptr) {
    server_->Shutdown(absl::ToChronoTime(absl::Now() + absl::Seconds(2)));
  }
}

}  // namespace attune::worker
