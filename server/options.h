#ifndef ATTUNE_SERVER_OPTIONS_H_
#define ATTUNE_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"

namespace attune::server {

// What attune-server is started with. Every field is a flag of the same name
// and a key of the --config file.
struct ServerOptions {
  std::string listen = "127.0.0.1:50051";
  std::string metrics_listen = "127.0.0.1:9464";
  std::string state_dir = ".attune/state";
  std::string ready_file;  // empty: none
  std::string log_level = "info";
  absl::Duration drain_timeout = absl::Seconds(25);
  absl::Duration lease_duration = absl::Seconds(30);
  int64_t max_queued_jobs = 1000;
  int control_threads = 4;
  int inference_threads = 2;
};

// The process should end now: after --help, --version or a wrong flag.
struct EarlyExit {
  int exit_code;
  std::string text;  // for stdout with exit code 0, else for stderr
};

// Exit codes of attune-server, as in sysexits.h.
inline constexpr int kExitUsage = 64;        // a flag is wrong
inline constexpr int kExitUnavailable = 69;  // an address is taken
inline constexpr int kExitSoftware = 70;     // the drain hung
inline constexpr int kExitConfig = 78;       // config file or state directory

// Reads flags and the --config file.
std::variant<ServerOptions, EarlyExit> ParseOptions(int argc,
                                                    const char* const* argv);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_OPTIONS_H_
