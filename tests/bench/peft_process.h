#ifndef ATTUNE_TESTS_BENCH_PEFT_PROCESS_H_
#define ATTUNE_TESTS_BENCH_PEFT_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune::bench {

// Hugging Face PEFT in a Python process of its own, which makes one training
// step whenever it is asked: tests/bench/peft_train_step.py. The process ends
// with the object. Not thread-safe.
class PeftProcess {
 public:
  // What is trained, and by what.
  struct Options {
    std::string python;  // with PEFT, see tests/bench/setup_peft.sh
    std::string script;
    std::string model;   // directory
    std::string batch;   // file of the rows
    std::string values;  // file of what training begins with
    std::string dtype;   // fp32 or bf16
    int threads = 1;
  };
  // A step that it made.
  struct Step {
    double seconds = 0;
    double loss = 0;         // before the update
    int64_t peak_bytes = 0;  // so far, above what was resident once loaded
  };

  // Returns when the model is ready. Unavailable when Python does not start or
  // ends early, whose own words are then on the standard error output.
  static absl::StatusOr<std::unique_ptr<PeftProcess>> Start(
      const Options& options);
  ~PeftProcess();
  PeftProcess(const PeftProcess&) = delete;
  PeftProcess& operator=(const PeftProcess&) = delete;

  absl::StatusOr<Step> MakeStep();

  // Releases as the process told them, for the report.
  const std::string& versions() const { return versions_; }

 private:
  PeftProcess() = default;
  absl::Status Spawn(const Options& options);
  absl::StatusOr<std::string> ReadLine();

  pid_t pid_ = -1;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
  std::string versions_;
};

}  // namespace attune::bench

#endif  // ATTUNE_TESTS_BENCH_PEFT_PROCESS_H_
