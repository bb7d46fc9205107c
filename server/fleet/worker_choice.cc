#include "server/fleet/worker_choice.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace attune::server {
namespace {

// What the worker last said may be seconds old, but counts requests of others;
// what this server has open is exact, but only its own.
int LoadOf(const WorkerCandidate& worker) {
  return std::max(worker.outstanding, worker.reported_waiting);
}

}  // namespace

std::optional<size_t> ChooseWorker(absl::Span<const WorkerCandidate> workers) {
  int idlest = std::numeric_limits<int>::max();
  for (const WorkerCandidate& worker : workers) {
    if (!worker.suspect) idlest = std::min(idlest, LoadOf(worker));
  }
  // Smaller is better.
  auto rank = [idlest](const WorkerCandidate& worker) {
    bool prefer_warm = worker.warm && LoadOf(worker) - kMaxWarmLead <= idlest;
    return std::tuple(worker.suspect, !prefer_warm, !worker.loaded,
                      LoadOf(worker), std::string_view(worker.id));
  };
  std::optional<size_t> best;
  for (size_t i = 0; i < workers.size(); ++i) {
    if (!best || rank(workers[i]) < rank(workers[*best])) best = i;
  }
  return best;
}

}  // namespace attune::server
