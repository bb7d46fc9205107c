#ifndef ATTUNE_TESTS_BENCH_PEFT_COMPARISON_H_
#define ATTUNE_TESTS_BENCH_PEFT_COMPARISON_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace attune::bench {

// What is compared with PEFT.
struct PeftFlags {
  std::string python;
  std::string script = "tests/bench/peft_train_step.py";
  std::string model;  // directory
  std::string data;   // JSON Lines with text and label
  std::string text_template;
  std::string dtype;       // fp32 or bf16; empty: both
  std::string peft_dtype;  // empty: as ours
  std::vector<int> prompt_rows = {20, 100, 200};
  int repeats = 5;
};

// Whole training steps, optimiser included, of the worker and of PEFT, on the
// same rows from the same initial values: prompt tuning of each length, prefix
// tuning of 20. Steps alternate; medians are compared. Where a step of PEFT
// takes minutes, as bf16 does on processors without products for it, its first
// one is the only one. Prints a table.
absl::Status CompareWithPeft(const PeftFlags& flags);

}  // namespace attune::bench

#endif  // ATTUNE_TESTS_BENCH_PEFT_COMPARISON_H_
