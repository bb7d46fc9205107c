#include "server/jobs/worker_instances.h"

#include <algorithm>
#include <cstddef>

namespace attune::server {
namespace {

constexpr size_t kMaxReplacedInstances = 16;

}  // namespace

bool WorkerInstances::Admit(const std::string& worker,
                            const std::string& instance) {
  Instances& instances = workers_[worker];
  if (instances.current == instance) return true;
  std::vector<std::string>& replaced = instances.replaced;
  if (std::find(replaced.begin(), replaced.end(), instance) != replaced.end()) {
    return false;
  }
  if (!instances.current.empty()) replaced.push_back(instances.current);
  if (replaced.size() > kMaxReplacedInstances) {
    replaced.erase(replaced.begin());
  }
  instances.current = instance;
  return true;
}

bool WorkerInstances::IsCurrent(std::string_view worker,
                                std::string_view instance) const {
  auto found = workers_.find(worker);
  return found != workers_.end() && found->second.current == instance;
}

}  // namespace attune::server
