#ifndef ATTUNE_WORKER_INFERENCE_BATCH_RUNNER_H_
#define ATTUNE_WORKER_INFERENCE_BATCH_RUNNER_H_

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/clock.h"
#include "worker/inference/batch_policy.h"
#include "worker/inference/work_item.h"
#include "worker/models/base_model.h"

namespace attune::worker {

// kDraining: what is asked of a worker that shuts down.
absl::Status DrainingError();

// Takes inputs to their answers in passes. A pass belongs to one model, which
// is a base model, or what a version with weights of its own makes of it: all
// its classifications, whatever their prompts and tasks, share one packed
// forward; another one brings every running generation one token further and
// admits new ones (continuous batching). Models with work take turns. Owned by
// the engine, or by a call that answers beside it (AnswerItems), and used on
// its owner's thread only.
class BatchRunner {
 public:
  // `clock` is borrowed.
  BatchRunner(const BatchLimits& limits, const Clock& clock);
  // Work that is left ends as kDraining.
  ~BatchRunner();

  void Add(std::unique_ptr<WorkItem> item);

  // Ends what nobody waits for any more and runs one pass. Does nothing when
  // idle.
  void Step();

  bool idle() const { return lanes_.empty(); }

 private:
  using Items = std::vector<std::unique_ptr<WorkItem>>;

  // The work of one model.
  struct Lane {
    std::shared_ptr<const BaseModel> model;
    std::deque<std::unique_ptr<WorkItem>> waiting = {};
    Items running = {};  // generations

    ModelSeries* series = nullptr;
  };

  // Ends items whose call was cancelled or is late.
  void DropAbandoned(Lane& lane);
  // Shows how much work a model has, over all lanes that count as its.
  void ShowWork(const Lane& lane) const;
  // Moves the inputs of the next pass out of the queue.
  Items TakeChosen(Lane& lane);
  void Classify(const Lane& lane, Items items);
  // What comes before the first token of `items`. Those that fail are answered
  // and taken out.
  void Begin(const Lane& lane, Items& items);
  // One token for all running generations. Those that end or fail are
  // answered; the others go on.
  void Generate(Lane& lane);
  // Gives a running generation its logits, [steps, vocab].
  absl::Status Advance(WorkItem& item, const at::Tensor& logits);

  const BatchLimits limits_;
  const Clock& clock_;
  std::deque<Lane> lanes_;  // the next in turn first; none is empty
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_BATCH_RUNNER_H_
