#include "tests/bench/peft_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::bench {
namespace {

std::vector<std::string> Arguments(const PeftProcess::Options& options) {
  return {options.python, options.script, "--model",
          options.model,  "--batch",      options.batch,
          "--values",     options.values, "--dtype",
          options.dtype,  "--threads",    std::to_string(options.threads)};
}

// The number `key` of a line that the script wrote.
absl::StatusOr<double> NumberOf(const nlohmann::json& line, const char* key) {
  const auto found = line.is_object() ? line.find(key) : line.end();
  if (found == line.end() || !found->is_number()) {
    return absl::UnavailableError(
        Concat("PEFT's process wrote a line without '", key, "'"));
  }
  return found->get<double>();
}

}  // namespace

absl::Status PeftProcess::Spawn(const Options& options) {
  // A process that has gone is an error of the next write and no signal.
  ::signal(SIGPIPE, SIG_IGN);
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
    return absl::UnavailableError(Concat("pipe: ", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::vector<std::string> arguments = Arguments(options);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const int error =
      ::posix_spawnp(&pid_, pointers[0], &actions,
                     /*attributes=*/nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  to_ = ::fdopen(in[1], "w");
  from_ = ::fdopen(out[0], "r");
  if (error == 0) return absl::OkStatus();
  pid_ = -1;
  return absl::UnavailableError(Concat("cannot start ", options.python, ": ",
                                       std::strerror(error),
                                       "; tests/bench/setup_peft.sh makes it"));
}

absl::StatusOr<std::unique_ptr<PeftProcess>> PeftProcess::Start(
    const Options& options) {
  std::unique_ptr<PeftProcess> process(new PeftProcess());
  ATTUNE_RETURN_IF_ERROR(process->Spawn(options));
  ATTUNE_ASSIGN_OR_RETURN(process->versions_, process->ReadLine());
  return process;
}

PeftProcess::~PeftProcess() {
  // The script ends with its input.
  if (to_ != nullptr) std::fclose(to_);
  if (from_ != nullptr) std::fclose(from_);
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
}

absl::StatusOr<PeftProcess::Step> PeftProcess::MakeStep() {
  if (std::fputs("step\n", to_) == EOF || std::fflush(to_) == EOF) {
    return absl::UnavailableError("PEFT's process has ended");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadLine());
  const nlohmann::json line =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  Step step;
  ATTUNE_ASSIGN_OR_RETURN(step.seconds, NumberOf(line, "seconds"));
  ATTUNE_ASSIGN_OR_RETURN(step.loss, NumberOf(line, "loss"));
  ATTUNE_ASSIGN_OR_RETURN(const double peak, NumberOf(line, "peak_bytes"));
  step.peak_bytes = static_cast<int64_t>(peak);
  return step;
}

absl::StatusOr<std::string> PeftProcess::ReadLine() {
  char* line = nullptr;
  size_t capacity = 0;
  const ssize_t length = ::getline(&line, &capacity, from_);
  std::string text = length > 0 ? std::string(line, length) : std::string();
  std::free(line);
  if (text.empty()) {
    return absl::UnavailableError(
        "PEFT's process ended without an answer; it says why above");
  }
  if (text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace attune::bench
