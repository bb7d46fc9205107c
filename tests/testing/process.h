#ifndef ATTUNE_TESTS_TESTING_PROCESS_H_
#define ATTUNE_TESTS_TESTING_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attune {

// How a process ended: its exit code, or the signal that killed it.
struct ProcessEnd {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;      // 0 when it exited by itself
};

// A child process whose output goes to files. Killed when the object goes, and
// when the thread that started it ends, so that no test leaves a process
// behind. Not thread-safe.
class Process {
 public:
  // What to start.
  struct Options {
    std::vector<std::string> argv;  // argv[0] is a path
    // Added to the environment of this process.
    std::vector<std::pair<std::string, std::string>> environment;
    std::string output_path;  // stdout; appended to
    std::string error_path;   // stderr; empty: as output_path
  };

  // NotFound when argv[0] is no executable file.
  static absl::StatusOr<std::unique_ptr<Process>> Start(Options options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Sends `signal`; does nothing once the process has ended.
  void Signal(int signal);

  // Waits for the end. DeadlineExceeded when it runs on after `timeout`. After
  // the end it answers the same every time.
  absl::StatusOr<ProcessEnd> Wait(absl::Duration timeout);

  // What the process wrote so far.
  std::string Output() const;
  std::string ErrorOutput() const;

  pid_t pid() const { return pid_; }

 private:
  Process(Options options, pid_t pid, int pid_descriptor);

  const Options options_;
  const pid_t pid_;
  const int pid_descriptor_;
  std::optional<ProcessEnd> end_;
};

// What a program that ran to its end did.
struct ProgramResult {
  int exit_code = -1;  // -1 when a signal ended it
  std::string output;
  std::string error_output;
};

// Runs a program to its end. DeadlineExceeded naming the program when it takes
// longer than `timeout`; it is then killed. `directory` takes its output files.
absl::StatusOr<ProgramResult> RunProgram(
    std::vector<std::string> argv,
    std::vector<std::pair<std::string, std::string>> environment,
    const std::string& directory, absl::Duration timeout);

// The path of one of the project's programs, e.g. "attune-server": in
// $ATTUNE_BIN_DIR or in ../bin beside the running test.
std::string ProgramPath(const std::string& name);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_PROCESS_H_
