#include "tests/testing/service_pair.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "attune/v1/model_service.grpc.pb.h"
#include "proto/cc/status_macros.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_llama.h"
#include "tests/testing/tiny_t5.h"

namespace attune {
namespace {

// How long a process may take to start on a busy machine.
constexpr absl::Duration kStartDeadline = absl::Seconds(30);
// How often something is looked at that cannot be waited for.
constexpr absl::Duration kLookInterval = absl::Milliseconds(10);

std::string ReadTail(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string whole = text.str();
  return whole.size() <= max_bytes ? whole
                                   : whole.substr(whole.size() - max_bytes);
}

absl::StatusOr<ProcessEnd> Terminate(std::unique_ptr<Process>& process,
                                     absl::Duration timeout) {
  if (process == nullptr) {
    return absl::FailedPreconditionError("the process does not run");
  }
  process->Signal(SIGTERM);
  absl::StatusOr<ProcessEnd> end = process->Wait(timeout);
  process.reset();
  return end;
}

}  // namespace

ServicePair::ServicePair(Options options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<ServicePair>> ServicePair::Start(
    Options options) {
  std::unique_ptr<ServicePair> pair(new ServicePair(std::move(options)));
  ATTUNE_RETURN_IF_ERROR(pair->Prepare());
  ATTUNE_RETURN_IF_ERROR(pair->StartServer());
  if (pair->options_.start_worker) ATTUNE_RETURN_IF_ERROR(pair->StartWorker());
  return pair;
}

ServicePair::~ServicePair() {
  worker_.reset();
  server_.reset();
  if (::testing::Test::HasFailure()) std::cerr << LogTail() << std::endl;
  if (!directory_.empty()) {
    std::error_code ignored;  // what is left goes with the temp directory
    std::filesystem::remove_all(directory_, ignored);
  }
}

absl::Status ServicePair::Prepare() {
  std::string pattern = absl::StrCat(::testing::TempDir(), "attune-XXXXXX");
  if (::mkdtemp(pattern.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot make ", pattern));
  }
  directory_ = pattern;
  if (!options_.models_directory.empty()) {
    models_directory_ = options_.models_directory;
    return absl::OkStatus();
  }
  models_directory_ = absl::StrCat(directory_, "/models");
  uint64_t seed = 1;
  for (const std::string& id : options_.tiny_models) {
    TinyLlamaOptions tiny;
    tiny.seed = seed++;
    ATTUNE_RETURN_IF_ERROR(
        WriteTinyLlama(absl::StrCat(models_directory_, "/", id), tiny));
  }
  if (options_.all_kinds) {
    ATTUNE_RETURN_IF_ERROR(WriteTinyBert(models_directory_ + "/encoder"));
    ATTUNE_RETURN_IF_ERROR(WriteTinyT5(models_directory_ + "/t5"));
  }
  return absl::OkStatus();
}

absl::Status ServicePair::StartServer() {
  const std::string ready_file = absl::StrCat(directory_, "/server.ready");
  std::filesystem::remove(ready_file);
  Process::Options start;
  start.argv = {ProgramPath("attune-server"),
                "--listen",
                server_address_.empty() ? "127.0.0.1:0" : server_address_,
                "--metrics-listen",
                "127.0.0.1:0",
                "--state-dir",
                state_directory(),
                "--lease-duration",
                absl::FormatDuration(options_.lease_duration),
                "--ready-file",
                ready_file};
  start.argv.insert(start.argv.end(), options_.server_flags.begin(),
                    options_.server_flags.end());
  start.output_path = absl::StrCat(directory_, "/server.log");
  ATTUNE_ASSIGN_OR_RETURN(server_, Process::Start(std::move(start)));
  ATTUNE_ASSIGN_OR_RETURN(server_ready_,
                          WaitForReadyFile(*server_, ready_file));
  const std::string address = server_ready_["grpc"];
  if (address.empty()) {
    return absl::InternalError(
        absl::StrCat(ready_file, " does not say grpc=host:port"));
  }
  if (server_address_.empty()) {
    server_address_ = address;
    channel_ = NewChannel();
  }
  return absl::OkStatus();
}

absl::Status ServicePair::StartWorker() {
  const std::string ready_file = absl::StrCat(directory_, "/worker.ready");
  std::filesystem::remove(ready_file);
  Process::Options start;
  start.argv = {ProgramPath("attune-worker"),
                "--server",
                server_address_,
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--models-dir",
                models_directory_,
                "--worker-id",
                "worker-1",
                "--ready-file",
                ready_file};
  start.argv.insert(start.argv.end(), options_.worker_flags.begin(),
                    options_.worker_flags.end());
  start.output_path = absl::StrCat(directory_, "/worker.log");
  ATTUNE_ASSIGN_OR_RETURN(worker_, Process::Start(std::move(start)));
  ATTUNE_ASSIGN_OR_RETURN(worker_ready_,
                          WaitForReadyFile(*worker_, ready_file));
  return server_ == nullptr ? absl::OkStatus() : WaitUntilWorkerIsKnown();
}

absl::StatusOr<std::map<std::string, std::string>>
ServicePair::WaitForReadyFile(Process& process, const std::string& path) {
  const absl::Time deadline = absl::Now() + kStartDeadline;
  while (!std::filesystem::exists(path)) {
    // Waiting for an end that should not come is the pause between two looks.
    if (absl::StatusOr<ProcessEnd> end = process.Wait(kLookInterval);
        end.ok()) {
      return WithLogs(absl::InternalError(
          absl::StrCat("the process ended before it was ready: exit code ",
                       end->exit_code, ", signal ", end->signal)));
    }
    if (absl::Now() > deadline) {
      return WithLogs(absl::DeadlineExceededError(absl::StrCat(
          "no ", path, " after ", absl::FormatDuration(kStartDeadline))));
    }
  }
  std::map<std::string, std::string> values;
  for (const auto line : absl::StrSplit(ReadTail(path, 65536), '\n')) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (!pair.first.empty()) values.insert(pair);
  }
  return values;
}

absl::Status ServicePair::WaitUntilWorkerIsKnown() {
  std::unique_ptr<v1::ModelService::Stub> stub =
      v1::ModelService::NewStub(channel_);
  const absl::Time deadline = absl::Now() + kStartDeadline;
  while (absl::Now() < deadline) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(deadline));
    v1::ListModelsResponse response;
    const grpc::Status status =
        stub->ListModels(&context, v1::ListModelsRequest(), &response);
    if (status.ok() && response.models_size() > 0) return absl::OkStatus();
    if (absl::StatusOr<ProcessEnd> end = worker_->Wait(kLookInterval);
        end.ok()) {
      return WithLogs(absl::InternalError("the worker ended at its start"));
    }
  }
  return WithLogs(absl::DeadlineExceededError(
      "the server does not list the worker's models"));
}

void ServicePair::KillServer() {
  if (server_ == nullptr) return;
  server_.reset();
  // Until the channel has seen it: the next call shall not go to the dead.
  if (channel_->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY) {
    channel_->WaitForStateChange(
        GRPC_CHANNEL_READY, absl::ToChronoTime(absl::Now() + kStartDeadline));
  }
}

void ServicePair::KillWorker() { worker_.reset(); }

absl::StatusOr<ProcessEnd> ServicePair::TerminateServer(
    absl::Duration timeout) {
  return Terminate(server_, timeout);
}

absl::StatusOr<ProcessEnd> ServicePair::TerminateWorker(
    absl::Duration timeout) {
  return Terminate(worker_, timeout);
}

absl::Status ServicePair::RestartServer() {
  KillServer();
  return StartServer();
}

absl::Status ServicePair::RestartWorker() {
  KillWorker();
  return StartWorker();
}

std::shared_ptr<grpc::Channel> ServicePair::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return grpc::CreateCustomChannel(
      server_address_, grpc::InsecureChannelCredentials(), arguments);
}

std::string ServicePair::metrics_address() const {
  const auto found = server_ready_.find("metrics");
  return found == server_ready_.end() ? "" : found->second;
}

std::string ServicePair::engine_address() const {
  const auto found = worker_ready_.find("engine");
  return found == worker_ready_.end() ? "" : found->second;
}

std::string ServicePair::LogTail(size_t max_bytes) const {
  return absl::StrCat(
      "--- end of server.log\n",
      ReadTail(absl::StrCat(directory_, "/server.log"), max_bytes),
      "\n--- end of worker.log\n",
      ReadTail(absl::StrCat(directory_, "/worker.log"), max_bytes));
}

absl::Status ServicePair::WithLogs(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "\n", LogTail(3000)));
}

}  // namespace attune
