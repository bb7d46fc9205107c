#ifndef ATTUNE_SERVER_JOBS_WORKER_INSTANCES_H_
#define ATTUNE_SERVER_JOBS_WORKER_INSTANCES_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace attune::server {

// Which process of each worker is the current one: the newest that was heard
// of. Not thread-safe: JobManager guards it with its mutex.
class WorkerInstances {
 public:
  // Takes in that `instance` speaks for `worker`. False if another one has
  // replaced it; else it is the current one from now on.
  bool Admit(const std::string& worker, const std::string& instance);
  bool IsCurrent(std::string_view worker, std::string_view instance) const;

 private:
  struct Instances {
    std::string current;
    std::vector<std::string> replaced;  // the last few
  };
  std::map<std::string, Instances, std::less<>> workers_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_WORKER_INSTANCES_H_
