#include "server/server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "proto/cc/executor.h"
#include "proto/cc/health_service.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/metrics.h"
#include "proto/cc/rpc_metrics.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "proto/cc/ticker.h"
#include "server/api/api_host.h"
#include "server/api/dataset_service.h"
#include "server/api/engine_pool.h"
#include "server/api/evaluation_service.h"
#include "server/api/inference_service.h"
#include "server/api/job_metrics.h"
#include "server/api/malformed_requests.h"
#include "server/api/model_service.h"
#include "server/api/prompt_service.h"
#include "server/api/tuning_service.h"
#include "server/api/worker_control_service.h"
#include "server/datasets/dataset_catalog.h"
#include "server/fleet/fleet.h"
#include "server/jobs/job_manager.h"
#include "server/registry/prompt_registry.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"

namespace attune::server {
namespace {

constexpr int kMaxReceiveBytes = 4 << 20;
constexpr absl::Duration kExpiryInterval = absl::Seconds(1);
constexpr absl::Duration kSweepInterval = absl::Minutes(10);
// The share of the drain's limit in which running calls may finish.
constexpr double kFinishShare = 0.65;

const std::vector<std::string>& ServiceNames() {
  static const auto* const names = new std::vector<std::string>{
      "attune.v1.TuningService",       "attune.v1.DatasetService",
      "attune.v1.PromptService",       "attune.v1.InferenceService",
      "attune.v1.EvaluationService",   "attune.v1.ModelService",
      "attune.worker.v1.WorkerControl"};
  return *names;
}

Executor::Options ExecutorOptions(Metrics& metrics, const std::string& name,
                                  int num_threads) {
  auto wait = metrics.MakeHistogram(
      "attune_executor_wait_seconds", "Time tasks waited, in seconds.",
      {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}, {{"executor", name}});
  return {.name = name,
          .num_threads = num_threads,
          .max_queued = 1024,
          .on_start = [wait](absl::Duration waited) mutable {
            wait.Observe(absl::ToDoubleSeconds(waited));
          }};
}

void ShowExecutor(Metrics& metrics, const Executor& executor) {
  const prometheus::Labels labels = {{"executor", executor.name()}};
  auto depth = metrics.MakeGauge("attune_executor_queue_depth",
                                 "Tasks that wait.", labels);
  auto busy = metrics.MakeGauge("attune_executor_busy_threads",
                                "Threads that run a task.", labels);
  metrics.OnScrape([&executor, depth, busy]() mutable {
    depth.Set(static_cast<double>(executor.queue_depth()));
    busy.Set(executor.busy_threads());
  });
}

// Keepalive and limits as operators expect them behind a load balancer.
void SetChannelArguments(grpc::ServerBuilder& builder) {
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_KEEPALIVE_TIME_MS, 60'000},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2},
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, 30 * 60'000},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 60'000},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, 15 * 60'000},
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, 256},
      {GRPC_ARG_ALLOW_REUSEPORT, 0},
  };
  for (const auto& [name, value] : arguments) {
    builder.AddChannelArgument(name, value);
  }
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // Only reflection is served by threads of the synchronous kind.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

}  // namespace

// Members are destroyed from the last to the first: timers, then gRPC, then
// services, then executors, then state.
class Server::Impl {
 public:
  Impl(const ServerOptions& options, const Clock& clock, const Timing& timing)
      : options_(options),
        clock_(clock),
        timing_(timing),
        job_metrics_(*metrics_),
        fleet_({.timeout = options.lease_duration * 2 / 3}, clock),
        control_(
            ExecutorOptions(*metrics_, "control", options.control_threads)),
        inference_(
            ExecutorOptions(*metrics_, "inference", options.inference_threads)),
        host_{control_,
              inference_,
              live_calls_,
              clock,
              timing.stall_limit,
              timing.heartbeat,
              timing.default_deadline},
        engines_(EnginePool::Connect),
        health_(live_calls_, ServiceNames()) {}
  ~Impl() { Drain(absl::Seconds(5)); }

  absl::Status OpenState();
  void MakeServices();
  absl::Status Listen();
  void StartTimers();
  void Drain(absl::Duration limit);

  const ServerOptions options_;
  const Clock& clock_;
  const Timing timing_;
  std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
  JobMetrics job_metrics_;

  std::unique_ptr<Database> database_;
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<PromptRegistry> prompts_;
  std::unique_ptr<DatasetCatalog> datasets_;
  std::unique_ptr<JobManager> jobs_;
  Fleet fleet_;

  LiveCalls live_calls_;
  Executor control_;
  Executor inference_;
  const ApiHost host_;
  EnginePool engines_;
  HealthService health_;
  std::optional<TuningService> tuning_;
  std::optional<DatasetService> dataset_service_;
  std::optional<PromptService> prompt_service_;
  std::optional<InferenceService> inference_service_;
  std::optional<ModelService> model_service_;
  std::optional<EvaluationService> evaluation_service_;
  std::optional<WorkerControlService> worker_control_;

  std::unique_ptr<grpc::Server> grpc_;
  std::string grpc_address_;
  std::unique_ptr<MetricsEndpoint> metrics_endpoint_;
  std::optional<Ticker> stream_ticker_;
  std::optional<Ticker> expiry_ticker_;
  std::optional<Ticker> sweep_ticker_;
  bool drained_ = false;
};

absl::Status Server::Impl::OpenState() {
  const std::string& directory = options_.state_dir;
  ATTUNE_ASSIGN_OR_RETURN(
      database_, Database::Open({.directory = directory, .before_commit = {}}));
  const std::filesystem::path files =
      std::filesystem::path(directory) / "artifacts";
  ATTUNE_ASSIGN_OR_RETURN(artifacts_, ArtifactStore::Open(files.string()));
  ATTUNE_ASSIGN_OR_RETURN(
      prompts_, PromptRegistry::Create(*database_, *artifacts_, clock_));
  ATTUNE_ASSIGN_OR_RETURN(datasets_,
                          DatasetCatalog::Create(*database_, clock_));
  JobManager::Options jobs;
  jobs.lease_duration = options_.lease_duration;
  jobs.max_queued_jobs = options_.max_queued_jobs;
  ATTUNE_ASSIGN_OR_RETURN(
      jobs_, JobManager::Create(jobs, *database_, *prompts_, *artifacts_,
                                clock_, &job_metrics_));
  return absl::OkStatus();
}

void Server::Impl::MakeServices() {
  metrics_
      ->MakeGauge("attune_build_info", "Always 1; the labels tell the build.",
                  {{"version", ATTUNE_VERSION}, {"db", "sqlite"}})
      .Set(1);
  metrics_->MakeGauge("attune_draining", "1 while the process shuts down.");
  auto watches =
      metrics_->MakeGauge("attune_watch_streams", "Open WatchTuningJob calls.");
  auto accepting = metrics_->MakeGauge(
      "attune_workers", "Live workers, by whether they take jobs.",
      {{"state", "accepting_jobs"}});
  auto refusing = metrics_->MakeGauge(
      "attune_workers", "Live workers, by whether they take jobs.",
      {{"state", "not_accepting_jobs"}});
  auto prompts = metrics_->MakeGauge("attune_prompts", "Prompts.");
  metrics_->OnScrape([this, accepting, refusing, prompts]() mutable {
    prompts.Set(static_cast<double>(prompts_->Count()));
    const Fleet::Counts workers = fleet_.Count();
    accepting.Set(workers.accepting_jobs);
    refusing.Set(workers.live - workers.accepting_jobs);
    job_metrics_.Show(jobs_->Counts());
  });
  ShowExecutor(*metrics_, control_);
  ShowExecutor(*metrics_, inference_);

  tuning_.emplace(
      host_,
      TuningService::Parts{*jobs_, *datasets_, *prompts_, fleet_, engines_},
      watches);
  dataset_service_.emplace(
      host_, AugmentCall::Parts{*prompts_, *datasets_, fleet_, engines_});
  prompt_service_.emplace(host_, *prompts_, *artifacts_);
  inference_service_.emplace(host_, *prompts_, fleet_, engines_);
  model_service_.emplace(host_, fleet_, database_->page_tokens());
  evaluation_service_.emplace(
      host_, EvaluateCall::Parts{*prompts_, *datasets_, fleet_, engines_});
  worker_control_.emplace(host_, *jobs_, fleet_, *artifacts_, *metrics_);
}

absl::Status Server::Impl::Listen() {
  static const bool reflection = [] {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)reflection;
  grpc::ServerBuilder builder;
  SetChannelArguments(builder);
  int port = 0;
  builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&health_);
  builder.RegisterService(&*tuning_);
  builder.RegisterService(&*dataset_service_);
  builder.RegisterService(&*prompt_service_);
  builder.RegisterService(&*inference_service_);
  builder.RegisterService(&*model_service_);
  builder.RegisterService(&*evaluation_service_);
  builder.RegisterService(&*worker_control_);
  std::vector<std::string> counted = ServiceNames();
  counted.push_back("grpc.health.v1.Health");
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(std::make_unique<MalformedRequests>(counted));
  interceptors.push_back(std::make_unique<RpcMetrics>(metrics_, counted));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(
        Concat("cannot serve gRPC on ", options_.listen,
               ": the address is taken or not this machine's; choose another "
               "with --listen"));
  }
  const std::string& listen = options_.listen;
  grpc_address_ = Concat(listen.substr(0, listen.rfind(':')), ":", port);
  ATTUNE_ASSIGN_OR_RETURN(
      metrics_endpoint_,
      MetricsEndpoint::Start(options_.metrics_listen, metrics_));
  return absl::OkStatus();
}

void Server::Impl::StartTimers() {
  stream_ticker_.emplace(timing_.tick,
                         [this] { live_calls_.Tick(clock_.Monotonic()); });
  expiry_ticker_.emplace(kExpiryInterval, [this] {
    const absl::Status expired = jobs_->ExpireLeases();
    if (!expired.ok()) spdlog::error("leases: {}", expired.ToString());
    health_.SetReady(expired.ok());
  });
  sweep_ticker_.emplace(kSweepInterval, [this] {
    const absl::StatusOr<int> removed = jobs_->SweepArtifacts();
    if (!removed.ok()) {
      spdlog::error("sweep: {}", removed.status().ToString());
    } else if (*removed > 0) {
      spdlog::info("sweep: removed {} artifacts without a reference", *removed);
    }
  });
}

void Server::Impl::Drain(absl::Duration limit) {
  if (std::exchange(drained_, true)) return;
  expiry_ticker_.reset();  // it sets the readiness too
  health_.SetReady(false);
  metrics_->MakeGauge("attune_draining", "1 while the process shuts down.")
      .Set(1);
  if (jobs_ != nullptr) jobs_->StopGranting();
  live_calls_.Drain();
  if (grpc_ != nullptr) {
    grpc_->Shutdown(absl::ToChronoTime(absl::Now() + limit * kFinishShare));
  }
  stream_ticker_.reset();
  sweep_ticker_.reset();
  control_.Shutdown();
  inference_.Shutdown();
  metrics_endpoint_.reset();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, const Clock& clock, const Timing& timing) {
  auto impl = std::make_unique<Impl>(options, clock, timing);
  ATTUNE_RETURN_IF_ERROR(impl->OpenState());
  impl->MakeServices();
  ATTUNE_RETURN_IF_ERROR(impl->Listen());
  impl->StartTimers();
  impl->health_.SetReady(true);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() = default;

const std::string& Server::grpc_address() const { return impl_->grpc_address_; }

const std::string& Server::metrics_address() const {
  return impl_->metrics_endpoint_->address();
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel(
    const grpc::ChannelArguments& arguments) {
  return impl_->grpc_->InProcessChannel(arguments);
}

void Server::Drain(absl::Duration limit) { impl_->Drain(limit); }

}  // namespace attune::server
