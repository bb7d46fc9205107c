#include "tests/testing/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace attune {
namespace {

// Part of util-linux, which every Debian has: makes the kernel kill the child
// when the parent goes, even by SIGKILL.
constexpr char kParentDeathTool[] = "/usr/bin/setpriv";

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The environment of this process with `added` in place of equal names.
std::vector<std::string> Environment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    bool replaced = false;
    for (const auto& [name, value] : added) replaced |= name == pair.first;
    if (!replaced) environment.push_back(*entry);
  }
  for (const auto& [name, value] : added) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

absl::StatusOr<pid_t> Spawn(const Process::Options& options) {
  std::vector<std::string> argv;
  if (::access(kParentDeathTool, X_OK) == 0) {
    argv = {kParentDeathTool, "--pdeathsig", "KILL", "--"};
  }
  argv.insert(argv.end(), options.argv.begin(), options.argv.end());
  std::vector<std::string> environment = Environment(options.environment);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int flags = O_WRONLY | O_CREAT | O_APPEND;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                   O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO,
                                   options.output_path.c_str(), flags, 0644);
  if (options.error_path.empty()) {
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
                                     options.error_path.c_str(), flags, 0644);
  }
  // The child starts without the signals that this process may block.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, argv[0].c_str(), &actions, &attributes,
                    Pointers(argv).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::InternalError(
        absl::StrCat("cannot start ", argv[0], ": ", std::strerror(error)));
  }
  return pid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(Options options) {
  if (options.argv.empty() || ::access(options.argv[0].c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(
        options.argv.empty() ? "" : options.argv[0],
        " is not an executable file: build it, or set ATTUNE_BIN_DIR"));
  }
  absl::StatusOr<pid_t> pid = Spawn(options);
  if (!pid.ok()) return pid.status();
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0));
  if (descriptor < 0) {
    ::kill(*pid, SIGKILL);
    ::waitpid(*pid, nullptr, 0);
    return absl::InternalError(
        absl::StrCat("pidfd_open: ", std::strerror(errno)));
  }
  return std::unique_ptr<Process>(
      new Process(std::move(options), *pid, descriptor));
}

Process::Process(Options options, pid_t pid, int pid_descriptor)
    : options_(std::move(options)),
      pid_(pid),
      pid_descriptor_(pid_descriptor) {}

Process::~Process() {
  if (!end_.has_value()) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(pid_descriptor_);
}

void Process::Signal(int signal) {
  if (!end_.has_value()) ::kill(pid_, signal);
}

absl::StatusOr<ProcessEnd> Process::Wait(absl::Duration timeout) {
  if (end_.has_value()) return *end_;
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    const absl::Duration left =
        std::max(deadline - absl::Now(), absl::ZeroDuration());
    pollfd waited{pid_descriptor_, POLLIN, 0};
    const int ready =
        ::poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(left)));
    if (ready > 0) break;
    if (ready < 0 && errno == EINTR) continue;
    return absl::DeadlineExceededError(absl::StrCat(
        options_.argv[0], " still runs after ", absl::FormatDuration(timeout)));
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ProcessEnd end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  end_ = end;
  return end;
}

std::string Process::Output() const { return ReadWhole(options_.output_path); }

std::string Process::ErrorOutput() const {
  return ReadWhole(options_.error_path.empty() ? options_.output_path
                                               : options_.error_path);
}

absl::StatusOr<ProgramResult> RunProgram(
    std::vector<std::string> argv,
    std::vector<std::pair<std::string, std::string>> environment,
    const std::string& directory, absl::Duration timeout) {
  std::string pattern = absl::StrCat(directory, "/run-XXXXXX");
  if (::mkdtemp(pattern.data()) == nullptr) {
    return absl::InternalError(
        absl::StrCat("mkdtemp ", pattern, ": ", std::strerror(errno)));
  }
  Process::Options options;
  options.argv = std::move(argv);
  options.environment = std::move(environment);
  options.output_path = absl::StrCat(pattern, "/stdout");
  options.error_path = absl::StrCat(pattern, "/stderr");
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Start(std::move(options));
  if (!process.ok()) return process.status();
  absl::StatusOr<ProcessEnd> end = (*process)->Wait(timeout);
  if (!end.ok()) {
    return absl::DeadlineExceededError(
        absl::StrCat(end.status().message(), "; it wrote:\n",
                     (*process)->Output(), (*process)->ErrorOutput()));
  }
  return ProgramResult{end->exit_code, (*process)->Output(),
                       (*process)->ErrorOutput()};
}

std::string ProgramPath(const std::string& name) {
  if (const char* directory = std::getenv("ATTUNE_BIN_DIR")) {
    return absl::StrCat(directory, "/", name);
  }
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path().parent_path() / "bin" / name).string();
}

}  // namespace attune
