#include "server/options.h"

#include <CLI/CLI.hpp>

#include <cctype>
#include <functional>
#include <sstream>

#include "proto/cc/text.h"

#ifndef ATTUNE_VERSION
#error "ATTUNE_VERSION is set by CMake"
#endif

namespace attune::server {
namespace {

// Whether `text` is host:port with a port of 0 to 65535; else what is wrong.
std::string CheckAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string port = colon == text.npos ? "" : text.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == port.npos;
  if (colon == 0 || !digits || std::stoi(port) > 65535) {
    return Concat("'", text, "' is not host:port with a port of 0 to 65535");
  }
  return "";
}

// An option whose value is a duration such as "25s" or "2m".
void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value,
                 absl::Duration min, const std::string& help) {
  app.add_option_function<std::string>(
         name,
         [&value, min, name](const std::string& text) {
           absl::Duration parsed;
           if (!absl::ParseDuration(text, &parsed) || parsed < min ||
               parsed > absl::Hours(24)) {
             throw CLI::ValidationError(
                 name, Concat("'", text, "' is not a duration from ",
                              absl::FormatDuration(min), " to 24h, e.g. 25s"));
           }
           value = parsed;
         },
         help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(value));
}

void AddFlags(CLI::App& app, ServerOptions& options) {
  app.add_option(
         "--listen", options.listen,
         "Address of the gRPC API; port 0 takes a free one. There is no "
         "encryption: keep it inside a trusted network")
      ->type_name("HOST:PORT")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option(
         "--metrics-listen", options.metrics_listen,
         "Address of the Prometheus page, /metrics; port 0 takes a free "
         "one")
      ->type_name("HOST:PORT")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--state-dir", options.state_dir,
                 "Directory of the database and of the artifacts; made if it "
                 "does not exist. One server at a time, on a local disk")
      ->type_name("DIR")
      ->capture_default_str();
  AddDuration(app, "--drain-timeout", options.drain_timeout, absl::Seconds(1),
              "How long a stop (SIGTERM) may take before the process ends "
              "itself");
  AddDuration(app, "--lease-duration", options.lease_duration, absl::Seconds(1),
              "A worker that is silent for this long loses its job to another");
  app.add_option("--max-queued-jobs", options.max_queued_jobs,
                 "Jobs that may wait for a worker; more are refused with "
                 "RESOURCE_EXHAUSTED")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--control-threads", options.control_threads,
                 "Threads for calls that wait for the database or for files")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--inference-threads", options.inference_threads,
                 "Threads that route inference calls to workers")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--ready-file", options.ready_file,
                 "File to write once calls are answered: lines grpc=HOST:PORT "
                 "and metrics=HOST:PORT as bound")
      ->type_name("PATH");
  app.add_option("--log-level", options.log_level,
                 "Least important message that is logged on stderr: debug, "
                 "info, warn or error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
}

}  // namespace

std::variant<ServerOptions, EarlyExit> ParseOptions(int argc,
                                                    const char* const* argv) {
  ServerOptions options;
  CLI::App app(
      "Attune's server: the public API, the queue of tuning jobs, the registry "
      "of prompts, and the routing of inference to workers.",
      "attune-server");
  app.set_version_flag("--version", "attune-server " ATTUNE_VERSION,
                       "Print the version and exit");
  app.set_config("--config", "",
                 "File with the same settings, one key=value a line, without "
                 "the dashes; flags win. Unknown keys are refused")
      ->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  AddFlags(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream text;
    app.exit(success, text, text);
    return EarlyExit{0, text.str()};
  } catch (const CLI::FileError& error) {
    return EarlyExit{kExitConfig, Concat("attune-server: ", error.what())};
  } catch (const CLI::ConfigError& error) {
    return EarlyExit{
        kExitConfig,
        Concat("attune-server: --config: unknown key or wrong line: ",
               error.what())};
  } catch (const CLI::ParseError& error) {
    return EarlyExit{kExitUsage,
                     Concat("attune-server: ", error.what(),
                            " (attune-server --help shows all flags)")};
  }
  return options;
}

}  // namespace attune::server
