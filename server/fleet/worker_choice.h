#ifndef ATTUNE_SERVER_FLEET_WORKER_CHOICE_H_
#define ATTUNE_SERVER_FLEET_WORKER_CHOICE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace attune::server {

// What the choice looks at in a live worker that holds the model.
struct WorkerCandidate {
  std::string id;
  bool warm = false;         // has the version in memory
  bool loaded = false;       // has the model in memory
  bool suspect = false;      // failed a call since it last synchronised
  int outstanding = 0;       // requests this server has open with it
  int reported_waiting = 0;  // requests in its queue when it last synchronised
};

// The index of the worker that takes a request: one that is not suspect before
// one that is; then warm, unless it has kMaxWarmLead more requests than the
// idlest; then loaded; then the fewest requests; then the smallest id. Nothing
// when there is no candidate. Pure.
inline constexpr int kMaxWarmLead = 8;
std::optional<size_t> ChooseWorker(absl::Span<const WorkerCandidate> workers);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_FLEET_WORKER_CHOICE_H_
