#ifndef ATTUNE_WORKER_INFERENCE_BACKGROUND_WORK_H_
#define ATTUNE_WORKER_INFERENCE_BACKGROUND_WORK_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/cc/clock.h"
#include "worker/inference/compute_budget.h"
#include "worker/inference/inference_call.h"

namespace attune::worker {

// Calls that compute for long, such as evaluations: one at a time, on a thread
// of its own, with training's share of the cores and in turns with the jobs
// that train, so that predictions keep theirs. Thread-safe.
class BackgroundWork {
 public:
  // A place in the round of those that compute.
  class Turn {
   public:
    virtual ~Turn() = default;
    // To be called before each piece of computing; blocks while others compute.
    virtual void Take() = 0;
  };
  // Asks before each piece of computing: waits for the turn. kCancelled,
  // kDeadlineExceeded, kDraining: nobody waits for the result any more.
  using Pause = std::function<absl::Status()>;
  using Task = std::function<void(const Pause& pause)>;

  // Everything but `max_waiting` and `make_turn` is borrowed.
  BackgroundWork(int max_waiting, ComputeBudget& budget,
                 std::function<std::unique_ptr<Turn>()> make_turn,
                 const Clock& clock);
  ~BackgroundWork();

  // Room for one call, from before its rows arrive until its task is over.
  class Place {
   public:
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    friend class BackgroundWork;
    Place(BackgroundWork& work, std::shared_ptr<const CallContext> context)
        : work_(work), context_(std::move(context)) {}
    BackgroundWork& work_;
    const std::shared_ptr<const CallContext> context_;
  };

  // kQueueFull: one runs and max_waiting wait. kDraining.
  absl::StatusOr<std::unique_ptr<Place>> Admit(
      std::shared_ptr<const CallContext> context);
  // Runs `task` once, after those that came before; not at all if its caller
  // has gone by then. It runs during a drain too, where its first pause says
  // so.
  void Run(std::unique_ptr<Place> place, Task task);

  // Takes nothing new; what runs and waits ends at its next pause.
  void BeginDrain();
  // The same, and waits until all has ended. The destructor does so, too.
  void Stop();

 private:
  struct Waiting {
    std::unique_ptr<Place> place;
    Task task;
  };

  // Takes out those whose callers have gone.
  std::deque<Waiting> TakeGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();
  void RunOne(const Waiting& next);

  const int max_places_;
  ComputeBudget& budget_;
  const std::function<std::unique_ptr<Turn>()> make_turn_;
  const Clock& clock_;
  std::atomic<bool> draining_ = false;

  absl::Mutex mutex_;
  int num_places_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_BACKGROUND_WORK_H_
