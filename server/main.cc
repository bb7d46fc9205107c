#include <grpc/support/log.h>
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <variant>

#include "proto/cc/clock.h"
#include "proto/cc/ready_file.h"
#include "proto/cc/shutdown.h"
#include "proto/cc/status.h"
#include "server/options.h"
#include "server/server.h"

namespace attune::server {
namespace {

void StartLogging(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("server"));
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                      spdlog::pattern_time_type::utc);
  // gRPC's own lines are for developers; what matters comes back as a status.
  gpr_set_log_function([](gpr_log_func_args* line) {
    spdlog::debug("gRPC: {}", line->message);
  });
}

int ExitCodeOf(const absl::Status& status) {
  const bool address = absl::IsUnavailable(status) &&
                       ReasonOf(status) != Reason::kStorageFailure;
  return address ? kExitUnavailable : kExitConfig;
}

int Run(const ServerOptions& options) {
  StartLogging(options.log_level);
  ShutdownSignal shutdown;
  const SystemClock clock;
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(options, clock, {});
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return ExitCodeOf(server.status());
  }
  const std::string& grpc_address = (*server)->grpc_address();
  const std::string& metrics_address = (*server)->metrics_address();
  if (!options.ready_file.empty()) {
    const absl::Status written =
        WriteReadyFile(options.ready_file,
                       {{"grpc", grpc_address}, {"metrics", metrics_address}});
    if (!written.ok()) {
      spdlog::error("{}", std::string(written.message()));
      return kExitConfig;
    }
  }
  spdlog::info("attune-server ready: grpc={} metrics={}", grpc_address,
               metrics_address);

  shutdown.Wait();
  spdlog::info("draining for at most {}",
               absl::FormatDuration(options.drain_timeout));
  const Watchdog watchdog(options.drain_timeout, kExitSoftware,
                          "attune-server: the drain");
  (*server)->Drain(options.drain_timeout);
  server->reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace attune::server

int main(int argc, char** argv) {
  // Few threads allocate much: more arenas would only cost memory.
  mallopt(M_ARENA_MAX, 2);
  const auto parsed = attune::server::ParseOptions(argc, argv);
  if (const auto* exit = std::get_if<attune::server::EarlyExit>(&parsed)) {
    std::fprintf(exit->exit_code == 0 ? stdout : stderr, "%s\n",
                 exit->text.c_str());
    return exit->exit_code;
  }
  return attune::server::Run(std::get<attune::server::ServerOptions>(parsed));
}
