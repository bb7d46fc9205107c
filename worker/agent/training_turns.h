#ifndef ATTUNE_WORKER_AGENT_TRAINING_TURNS_H_
#define ATTUNE_WORKER_AGENT_TRAINING_TURNS_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/clock.h"

namespace attune::worker {

// Lets the jobs of a worker compute one at a time, each with all of training's
// threads: teams of several threads that run at once fight for the cores and
// take many times as long as one after the other. Fair by time: the next turn
// is that of the job that has had the least, whatever its steps cost, so a job
// with expensive steps makes fewer of them. Thread-safe; must outlive its
// places until they have left.
class TrainingTurns {
 public:
  // A turn lasts at least `least_turn`, so that passing it on (the OpenMP team
  // ends with the turn, some 0.1 ms) costs nothing beside it even where a step
  // takes a millisecond. `clock` is borrowed.
  explicit TrainingTurns(const Clock& clock,
                         absl::Duration least_turn = absl::Milliseconds(50))
      : clock_(clock), least_turn_(least_turn) {}

  // One job's place in the round. Used by one thread at a time, but for Hurry.
  class Place {
   public:
    explicit Place(TrainingTurns& turns) : turns_(turns) {}
    // One that has left does not touch the round any more.
    ~Place() { Leave(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // To be called before each piece of computing. Returns at once while the
    // turn lasts; else passes it on and blocks until it comes back. The first
    // call joins the round, as if the job had had as much time as the one that
    // had least.
    void Take();
    // Gives the turn up and leaves the round, after the last piece. No effect
    // on a place that has not joined.
    void Leave();
    // From now on this job's turn comes before all others', whatever time it
    // has had: it is asked to stop, and notices it in its turn. Any thread.
    void Hurry();
    // How long this job has had the turn since it joined.
    absl::Duration used() const;

   private:
    friend class TrainingTurns;
    TrainingTurns& turns_;
    bool joined_ = false;  // used by its own thread only
    // Guarded by turns_.mutex_.
    absl::Duration credit_;   // at which it joined
    absl::Duration charged_;  // time of turns that have ended, with the credit
    int64_t ticket_ = 0;      // of its wait; 0: does not wait
    bool hurries_ = false;
  };

  int num_waiting() const;

 private:
  // Time of `place` up to now, with its credit.
  absl::Duration TimeOf(const Place& place) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of those that wait: one that hurries, then the one with the least time,
  // then the longest wait.
  Place* Next() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Join(Place& place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the holder's turn is over and another one's begins.
  bool MustPassOn() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginTurn(Place* place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  const absl::Duration least_turn_;
  mutable absl::Mutex mutex_;
  std::vector<Place*> places_ ABSL_GUARDED_BY(mutex_);  // that have joined
  Place* holder_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Duration turn_began_ ABSL_GUARDED_BY(mutex_);  // monotonic
  int64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_TRAINING_TURNS_H_
