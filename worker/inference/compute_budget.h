#ifndef ATTUNE_WORKER_INFERENCE_COMPUTE_BUDGET_H_
#define ATTUNE_WORKER_INFERENCE_COMPUTE_BUDGET_H_

#include <atomic>
#include <memory>

namespace attune::worker {

// Divides the process's compute threads between the training thread and the
// engine thread, so that their teams never fight for the cores: alone, each has
// all; together, the engine has one and training the rest. Each thread asks
// before a piece of work (a step, a pass) and passes the answer to
// SetComputeThreads. Thread-safe.
class ComputeBudget {
 public:
  // `total_threads` >= 1.
  explicit ComputeBudget(int total_threads) : total_(total_threads) {}

  int total() const { return total_; }
  // Threads for the next training step.
  int TrainingThreads() const;
  // Threads for the next pass of the engine.
  int ServingThreads() const;

  // Says that a job trains, or requests run, while the object lives.
  class Use {
   public:
    explicit Use(std::atomic<int>& users) : users_(users) { ++users_; }
    ~Use() { --users_; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    std::atomic<int>& users_;
  };
  [[nodiscard]] std::unique_ptr<Use> Train() {
    return std::make_unique<Use>(training_);
  }
  [[nodiscard]] std::unique_ptr<Use> Serve() {
    return std::make_unique<Use>(serving_);
  }

 private:
  const int total_;
  std::atomic<int> training_ = 0;
  std::atomic<int> serving_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_COMPUTE_BUDGET_H_
