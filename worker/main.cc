#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"
#include "proto/cc/shutdown.h"
#include "proto/cc/text.h"
#include "worker/forward_command.h"
#include "worker/models/gguf_import.h"
#include "worker/options.h"
#include "worker/tokenize_command.h"
#include "worker/worker.h"

namespace attune::worker {
namespace {

// How often a thread of OpenMP's looks whether the others are done before it
// sleeps: some 20 microseconds. By default it looks for milliseconds, and
// beside any other busy process each of the many short products of a step then
// costs a time slice of the scheduler's: steps become tens of times slower.
constexpr char kSpinCount[] = "2000";

// Starts the program again with kSpinCount, since OpenMP reads it before main,
// unless the environment decides about it.
void LimitSpinning(char** argv) {
  if (getenv("GOMP_SPINCOUNT") != nullptr ||
      getenv("OMP_WAIT_POLICY") != nullptr) {
    return;
  }
  setenv("GOMP_SPINCOUNT", kSpinCount, /*overwrite=*/1);
  // By its own path: of /proc/self/exe the process would be called "exe".
  char path[PATH_MAX + 1] = {};
  if (readlink("/proc/self/exe", path, PATH_MAX) > 0) execv(path, argv);
  spdlog::warn(
      "cannot start again with GOMP_SPINCOUNT={}: {}; beside other busy "
      "processes computing will be slow unless it is set",
      kSpinCount, strerror(errno));
}

// Beyond the drain's own limit: time to join threads and to end.
constexpr absl::Duration kExitGrace = absl::Seconds(8);

void Print(std::FILE* file, const std::string& text) {
  std::fputs(text.c_str(), file);
  std::fflush(file);
}

int Import(const ImportOptions& options) {
  Print(stderr, Concat("importing ", options.gguf_file, " ...\n"));
  const absl::Time start = absl::Now();
  const absl::Status status = ImportGguf(options.gguf_file, options.output_dir);
  if (!status.ok()) {
    Print(stderr, Concat("attune-worker import: ", status.ToString(), "\n"));
    return 1;
  }
  Print(stdout, Concat("imported ", options.gguf_file, " into ",
                       options.output_dir, " in ",
                       absl::FormatDuration(absl::Trunc(
                           absl::Now() - start, absl::Milliseconds(10))),
                       "\n"));
  return 0;
}

int Tokenize(const TokenizeOptions& options) {
  const absl::Status status = RunTokenize(options, std::cout);
  if (status.ok()) return 0;
  Print(stderr, Concat("attune-worker tokenize: ", status.ToString(), "\n"));
  return 1;
}

int Forward(const ForwardOptions& options) {
  const absl::Time start = absl::Now();
  const absl::StatusOr<int64_t> rows =
      RunForward(options, isatty(STDERR_FILENO) == 1 ? &std::cerr : nullptr);
  if (!rows.ok()) {
    Print(stderr,
          Concat("attune-worker forward: ", rows.status().ToString(), "\n"));
    return 1;
  }
  Print(stdout,
        Concat("wrote ", *rows, " rows to ", options.output_file, " in ",
               absl::FormatDuration(
                   absl::Trunc(absl::Now() - start, absl::Milliseconds(10))),
               "\n"));
  return 0;
}

int Serve(const ServeOptions& options) {
  // Before other threads, which would otherwise take the signals.
  ShutdownSignal shutdown;
  const SystemClock clock;
  absl::StatusOr<std::unique_ptr<Worker>> worker = Worker::Start(
      options, clock, [&] { return shutdown.Wait(absl::ZeroDuration()); });
  if (absl::IsCancelled(worker.status())) {
    return 0;  // a signal came before the server answered
  }
  if (!worker.ok()) {
    spdlog::error("attune-worker cannot start: {}", worker.status().ToString());
    return 1;
  }
  Print(stderr,
        Concat("attune-worker ready: engine=", (*worker)->engine_address(),
               " metrics=", (*worker)->metrics_address(), "\n"));
  shutdown.Wait();
  Watchdog watchdog(options.drain_timeout + kExitGrace, /*exit_code=*/70,
                    "the drain of attune-worker");
  (*worker)->Drain(options.drain_timeout);
  worker->reset();
  spdlog::info("attune-worker has ended");
  return 0;
}

}  // namespace
}  // namespace attune::worker

int main(int argc, char** argv) {
  using namespace attune::worker;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("attune-worker"));
  const CommandLine command =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  if (const auto* print = std::get_if<PrintAndExit>(&command)) {
    Print(print->exit_code == 0 ? stdout : stderr, print->text);
    return print->exit_code;
  }
  if (const auto* import = std::get_if<ImportOptions>(&command)) {
    return Import(*import);
  }
  if (const auto* tokenize = std::get_if<TokenizeOptions>(&command)) {
    return Tokenize(*tokenize);
  }
  // The others compute nothing.
  LimitSpinning(argv);
  if (const auto* forward = std::get_if<ForwardOptions>(&command)) {
    return Forward(*forward);
  }
  const auto& serve = std::get<ServeOptions>(command);
  spdlog::set_level(spdlog::level::from_str(serve.log_level));
  return Serve(serve);
}
