#ifndef ATTUNE_WORKER_OPTIONS_H_
#define ATTUNE_WORKER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attune::worker {

inline constexpr std::string_view kVersion = "0.1.0";

// How attune-worker serves.
struct ServeOptions {
  std::string server = "127.0.0.1:50051";
  std::string listen = "127.0.0.1:50061";
  std::string advertise;  // empty: chosen from `listen` once it is bound
  std::string metrics_listen = "127.0.0.1:9465";
  std::string models_dir = ".attune/models";
  std::string device = "cpu";
  std::string dtype = "auto";
  int threads = 0;                   // 0: one per core
  int max_jobs = 4;                  // that train at once
  std::vector<std::string> preload;  // models/{id}
  // Bytes for the weights of loaded models. Unset: chosen by the machine.
  std::optional<int64_t> model_memory;
  std::string worker_id;  // empty: chosen from the host's name and the port
  std::string log_level = "info";
  std::string ready_file;  // empty: none
  absl::Duration drain_timeout = absl::Seconds(50);
};

// What attune-worker import converts.
struct ImportOptions {
  std::string gguf_file;
  std::string output_dir;
};

// What attune-worker tokenize reads.
struct TokenizeOptions {
  std::string model_dir;
  std::string input_file;
  bool add_special_tokens = true;
};

// What attune-worker forward computes.
struct ForwardOptions {
  std::string model_dir;
  std::string input_file;
  std::string output_file;
  std::string prompt_dir;  // empty: none
  std::string dtype = "fp32";
  std::string device = "cpu";
  int64_t max_new_tokens = 0;  // 0: nothing is generated
};

// A text to print before the process ends: help, version, or what is wrong.
struct PrintAndExit {
  std::string text;
  int exit_code = 0;
};

using CommandLine = std::variant<ServeOptions, ImportOptions, TokenizeOptions,
                                 ForwardOptions, PrintAndExit>;

// Reads the command line and, with --config, a file of the same names. Wrong
// flags, values and unknown keys of the file end with exit code 64.
CommandLine ParseCommandLine(const std::vector<std::string>& arguments);

// "8GiB", "1.5GB" as bytes: a number above 0 and one of kB, MB, GB, TB (powers
// of 1000), KiB, MiB, GiB, TiB (of 1024). Nothing for anything else.
std::optional<int64_t> ParseBytes(std::string_view text);

// "host:port" as its two parts. InvalidArgument naming `flag` for anything
// else.
absl::StatusOr<std::pair<std::string, int>> ParseAddress(
    const std::string& address, std::string_view flag);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_OPTIONS_H_
